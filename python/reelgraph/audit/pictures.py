"""Two pictures or videos, pixel by pixel."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy
from PIL import Image


def compare_images(first: Path, second: Path) -> str:
    """Say how two images differ: size, or how many pixels by how much, or only in their encoding."""
    with Image.open(first) as one, Image.open(second) as other:
        if one.size != other.size:
            return f"is {one.size[0]} x {one.size[1]} and {other.size[0]} x {other.size[1]} pixels"
        pixels = [numpy.asarray(image.convert("RGBA")) for image in (one, other)]
    unlike = (pixels[0] != pixels[1]).any(axis=-1)
    if not unlike.any():
        return "has the same pixels; encoding or metadata differ"
    most = int(numpy.abs(pixels[0].astype("i2") - pixels[1].astype("i2")).max())
    share = f"{int(unlike.sum()):,} of {unlike.size:,} pixels differ"
    return f"{share}, by {most} of 255 at most (PSNR {psnr(*pixels):.1f} dB)"


def compare_videos(first: Path, second: Path) -> str:
    """Say at which frame two videos begin to differ, how many frames do, and how much the worst does."""
    differing, begin, lowest, count = 0, None, float("inf"), 0
    for index, frames in enumerate(zip_longest(_frames(first), _frames(second))):
        before = f"; {differing} frames before it differ" if differing else ""
        if frames[0] is None or frames[1] is None:
            return f"ends before frame {index} in the {'first' if frames[0] is None else 'second'} build{before}"
        if frames[0][1].shape != frames[1][1].shape:
            return f"has frames of another size from frame {index} on{before}"
        count += 1
        if not numpy.array_equal(frames[0][1], frames[1][1]):
            differing += 1
            begin = begin or (index, frames[0][0])
            lowest = min(lowest, psnr(frames[0][1], frames[1][1]))
    if begin is None:
        return f"has the same {count:,} frames; sound, container or metadata differ"
    where = f"differs from frame {begin[0]} ({begin[1]:.3f} s) on"
    return f"{where}: {differing:,} of {count:,} frames, PSNR {lowest:.1f} dB at worst"


def psnr(first: numpy.ndarray, second: numpy.ndarray) -> float:
    """Return the peak signal-to-noise ratio of two 8-bit pictures in dB; infinite if they are equal."""
    error = float(numpy.mean((first.astype("f8") - second.astype("f8")) ** 2))
    return float("inf") if error == 0 else 10 * numpy.log10(255**2 / error)


def _frames(path: Path) -> Iterator[tuple[float, numpy.ndarray]]:
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.time or 0.0, frame.to_ndarray(format="rgb24")
