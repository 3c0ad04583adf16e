"""Frames of a film, one at a time: decoded exactly, resized with integer arithmetic, timed by their time stamps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.filter import Graph
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelgraph.errors import StageError

THREADS = 2
# The last two take swscale off the shortcuts that round differently from one CPU to the next.
SCALE_DOWN = "flags=bilinear+accurate_rnd+bitexact"
SCALE_FINE = "flags=bicubic+accurate_rnd+bitexact"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn an error of FFmpeg while ``path`` is read into a StageError that names it."""
    try:
        yield
    except av.error.FFmpegError as error:
        hint = "it is damaged, cut short or no media file, fetch it again"
        raise StageError(f"{path.name}: cannot be read as a film ({error.strerror}); {hint}") from error


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file for reading; a file that is not one raises a StageError. Read on within ``reading``."""
    with reading(path):
        container = av.open(str(path))
    with container:
        yield container


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the first stream that is a moving picture (a cover picture is not), or raise a StageError."""
    for stream in container.streams.video:
        if Disposition.attached_pic not in stream.disposition:
            return stream
    raise StageError(f"{path.name}: has no video stream; expected a film with picture and sound")


def presentation_times(path: Path) -> list[Fraction]:
    """Return when each frame is shown, in seconds after the first, and when the last one ends; nothing is decoded."""
    with open_media(path) as container, reading(path):
        stream = video_stream(container, path)
        stamps = sorted(
            packet.pts for packet in container.demux(stream) if packet.pts is not None and not packet.is_discard
        )
        times = [(stamp - stamps[0]) * stream.time_base for stamp in stamps]
        return [*times, times[-1] + 1 / frame_rate(stream, path)] if times else []


def frame_rate(stream: VideoStream, path: Path) -> Fraction:
    """Return the average rate in frames per second, or raise a StageError where the file states none."""
    rate = stream.average_rate or stream.guessed_rate
    if not rate:
        raise StageError(f"{path.name}: states no frame rate; expected a film with a frame rate, remux it")
    return Fraction(rate)


def decoded_frames(path: Path, expected: int, rough: bool = False) -> Iterator[VideoFrame]:
    """Yield every frame in the order shown; a damaged one, or fewer or more than ``expected``, raises a StageError.

    ``rough`` leaves the blocks of frames that no other one refers to unsmoothed: for pictures that are made small.
    """
    count = 0
    with open_media(path) as container, reading(path):
        stream = video_stream(container, path)
        stream.codec_context.thread_count, stream.thread_type = THREADS, "AUTO"
        if rough:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        for frame in container.decode(stream):
            if frame.is_corrupt:
                raise StageError(f"{path.name}: frame {count} is damaged; fetch the film again")
            count += 1
            yield frame
    if count != expected:
        raise StageError(
            f"{path.name}: decodes to {count} frames, but has {expected}; it is damaged or cut short, fetch it again"
        )


def picture_filter(stream: VideoStream, *filters: tuple[str, str]) -> Callable[[VideoFrame], VideoFrame]:
    """Return a function that applies libavfilter ``(name, arguments)`` filters, each one frame in and one out."""
    graph, time_base = Graph(), stream.time_base
    graph.threads = 1

    def apply(frame: VideoFrame) -> VideoFrame:
        # Headers may not tell the format; the first frame does.
        if not graph.configured:
            source = graph.add_buffer(None, frame.width, frame.height, frame.format, time_base=time_base)
            nodes = [source, *(graph.add(name, arguments) for name, arguments in filters)]
            graph.link_nodes(*nodes, graph.add("buffersink")).configure()
        graph.vpush(frame)
        return graph.vpull()

    return apply


def cover_and_crop(stream: VideoStream, width: int, height: int) -> tuple[tuple[str, str], ...]:
    """Return filters that cut the largest window of a shape from the middle and scale it to ``width`` x ``height``."""
    pixel = stream.sample_aspect_ratio or Fraction(1)
    shape = Fraction(width, height) / pixel
    # Even sizes and offsets keep colour, which has half the resolution, in its place.
    window_width = min(stream.width, round(stream.height * shape)) // 2 * 2
    window_height = min(stream.height, round(stream.width / shape)) // 2 * 2
    left, top = (stream.width - window_width) // 4 * 2, (stream.height - window_height) // 4 * 2
    return (
        ("crop", f"{window_width}:{window_height}:{left}:{top}"),
        ("scale", f"{width}:{height}:{SCALE_FINE}"),
        ("format", "yuv420p"),
        ("setsar", "1"),
    )


def pick(frames: Iterator[tuple[int, VideoFrame]], wanted: Iterable[int]) -> Iterator[VideoFrame]:
    """Yield the frames of ascending numbers ``wanted`` out of numbered ones, again where a number comes again."""
    number, frame = next(frames)
    for want in wanted:
        while number < want:
            number, frame = next(frames)
        yield frame
