"""H.264 and lossless sound whose bytes depend on the frames and the settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

ENCODER_THREADS = 2


@contextmanager
def write_media(path: Path) -> Iterator[OutputContainer]:
    """Open a media file for writing, without the muxer's version and time in it."""
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        yield container


def add_h264(
    container: OutputContainer, rate: Fraction, size: tuple[int, int], crf: int, preset: str, b_frames: bool, like: VideoStream
) -> VideoStream:
    """Add a yuv420p H.264 stream of ``size`` (width, height) with the colour tags of ``like``."""
    stream = container.add_stream("libx264", rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context, tags = stream.codec_context, like.codec_context
    context.time_base, context.thread_count = 1 / rate, ENCODER_THREADS
    context.color_range, context.colorspace = tags.color_range, tags.colorspace
    context.color_primaries, context.color_trc = tags.color_primaries, tags.color_trc
    # Without cpu-independent, x264 takes other decisions on CPUs with other vector instructions.
    stream.options = {"crf": str(crf), "preset": preset, "flags": "+bitexact", "x264-params": "cpu-independent=1"}
    if not b_frames:
        stream.options = {**stream.options, "bf": "0"}
    return stream


def add_flac(container: OutputContainer, rate: int, layout: str) -> AudioStream:
    """Add a 16-bit FLAC stream; fixed predictors, since fitted ones come from floating-point sums that differ by CPU."""
    stream = container.add_stream("flac", rate=rate, options={"lpc_type": "fixed", "flags": "+bitexact"})
    stream.format, stream.layout = "s16", layout
    return stream


def encode_video(stream: VideoStream, frames: Iterable[VideoFrame]) -> Iterator[Packet]:
    """Yield the packets of ``frames``, shown one after the other at the stream's rate whatever their own time stamps."""
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base, frame.pict_type = number, stream.codec_context.time_base, 0
        yield from stream.encode(frame)
    yield from stream.encode(None)


def encode_audio(stream: AudioStream, frames: Iterable[AudioFrame]) -> Iterator[Packet]:
    """Yield the packets of ``frames``, heard one after the other without gap."""
    position = 0
    for frame in frames:
        frame.pts, frame.time_base, frame.sample_rate = position, Fraction(1, stream.rate), stream.rate
        position += frame.samples
        yield from stream.encode(frame)
    yield from stream.encode(None)


def write_png(path: Path, frame: VideoFrame) -> None:
    """Write a frame as an RGB PNG."""
    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    picture = frame.reformat(format="rgb24", interpolation=exact, threads=1)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = frame.width, frame.height, "rgb24", Fraction(1)
    picture.pts = 0
    path.write_bytes(b"".join(bytes(packet) for packet in (*encoder.encode(picture), *encoder.encode(None))))
