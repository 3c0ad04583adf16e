"""Video files in and out of the training stages: RGB frames, and H.264 whose bytes depend only on the frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import Interpolation
from PIL import Image

from reelgraph.errors import StageError

# Without these flags the conversion between YUV and RGB rounds as the CPU's vector unit likes.
CONVERSION = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def read_frames(path: Path) -> Iterator[Image.Image]:
    """Yield the frames of a video file as RGB pictures; raise a StageError that names a file that cannot be decoded."""
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_count = 1
            for frame in container.decode(video=0):
                yield Image.fromarray(frame.to_ndarray(format="rgb24", interpolation=CONVERSION, threads=1))
    except (av.FFmpegError, IndexError) as error:
        raise StageError(f"{path.name}: cannot be decoded as video ({error}); cut the clip again") from error


def write_video(path: Path, frames: Sequence[Image.Image], fps: int, crf: int) -> None:
    """Write ``frames`` as H.264 in MP4, yuv420p, at the constant rate factor ``crf``; sides must be even."""
    options = {"crf": str(crf), "preset": "medium", "threads": "1", "x264-params": "threads=1:lookahead-threads=1"}
    with av.open(str(path), "w", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        for image in frames:
            frame = av.VideoFrame.from_image(image.convert("RGB"))
            container.mux(stream.encode(frame.reformat(format="yuv420p", interpolation=CONVERSION, threads=1)))
        container.mux(stream.encode())
