"""Video files in and out of the training stages: RGB frames, and H.264 whose bytes depend only on the frames."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from PIL import Image

from reelgraph.media.encode import add_flac, encode_audio, encode_video, write_media
from reelgraph.media.frames import decoded_frames

# Without these flags the conversion between YUV and RGB rounds as the CPU's vector unit likes.
CONVERSION = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def read_frames(path: Path, expected: int) -> list[Image.Image]:
    """Return the ``expected`` frames of a video file as RGB pictures; a StageError names a file that holds others."""
    return [
        Image.fromarray(frame.to_ndarray(format="rgb24", interpolation=CONVERSION, threads=1))
        for frame in decoded_frames(path, expected)
    ]


def write_video(
    path: Path, frames: Sequence[Image.Image], fps: int, crf: int, sound: tuple[np.ndarray, int] | None = None
) -> None:
    """Write ``frames`` as H.264 in MP4, yuv420p, at the constant rate factor ``crf``; sides must be even.

    ``sound`` is int16 [2, samples] and samples a second, and becomes FLAC.
    """
    with write_media(path) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base, stream.codec_context.thread_count = Fraction(1, fps), 2
        stream.options = {"crf": str(crf), "flags": "+bitexact", "x264-params": "cpu-independent=1"}
        pictures = (
            VideoFrame.from_image(frame.convert("RGB")).reformat(format="yuv420p", interpolation=CONVERSION, threads=1)
            for frame in frames
        )
        heard = add_flac(container, sound[1], "stereo") if sound else None
        for packet in encode_video(stream, pictures):
            container.mux(packet)
        if heard is not None and sound is not None:
            for packet in encode_audio(heard, [sound[0]]):
                container.mux(packet)
