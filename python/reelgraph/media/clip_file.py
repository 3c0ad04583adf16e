"""A clip as a file: encoded, read back to see that it is what was ordered, and its first frame as a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelgraph.errors import StageError
from reelgraph.media.encode import H264, add_h264, encode_video, write_media, write_png
from reelgraph.media.frames import decoded_frames, frame_rate, open_media, video_stream


@dataclass(frozen=True)
class ClipFormat:
    """Frames per second, size in pixels, and libx264's constant rate factor and preset."""

    fps: int
    width: int
    height: int
    crf: int
    preset: str


def write_clip(path: Path, pictures: Iterable[VideoFrame], form: ClipFormat, like: VideoStream) -> None:
    """Encode a clip without B-frames, so that a reader gets its first frames without the later ones."""
    settings = H264(form.crf, form.preset, b_frames=False)
    with write_media(path) as container:
        size = (form.width, form.height)
        for packet in encode_video(add_h264(container, Fraction(form.fps), size, settings, like), pictures):
            container.mux(packet)


def read_back(path: Path, frames: int, form: ClipFormat) -> VideoFrame:
    """Decode a written clip and return its first frame; a clip that is not as ordered raises a StageError."""
    first, times = None, []
    for frame in decoded_frames(path, frames):
        first = first or frame
        times.append(frame.pts * frame.time_base)
    with open_media(path) as container:
        rate = frame_rate(video_stream(container, path), path)
    found, ordered = (
        (first.width, first.height, rate),
        (form.width, form.height, form.fps),
    )
    if found != ordered or times != [Fraction(number, form.fps) for number in range(frames)]:
        raise StageError(
            f"{path.name}: was written as {found[0]}x{found[1]} at {found[2]} frames per second, not as "
            f"{ordered[0]}x{ordered[1]} at {ordered[2]} in even steps; the encoder is at fault, report it"
        )
    return first


def write_first_frame(clip: Path, frames: int, form: ClipFormat, path: Path) -> None:
    """Read a clip back and write its first frame as a PNG."""
    write_png(path, read_back(clip, frames, form))
