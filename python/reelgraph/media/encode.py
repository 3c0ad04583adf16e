"""H.264 and lossless sound whose bytes depend on the frames and the settings alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from reelgraph.errors import StageError

ENCODER_THREADS = 2


@dataclass(frozen=True)
class H264:
    """How libx264 encodes: constant rate factor, preset, and whether frames may refer to later ones."""

    crf: int
    preset: str
    b_frames: bool


@contextmanager
def write_media(path: Path) -> Iterator[OutputContainer]:
    """Open a media file for writing, without the muxer's version and time in it; a full disk raises a StageError."""
    try:
        with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
            yield container
    except av.error.FFmpegError as error:
        raise StageError(f"{path.name}: cannot be written ({error.strerror}); check the space on the disk") from error


def add_h264(
    container: OutputContainer, rate: Fraction, size: tuple[int, int], settings: H264, like: VideoStream
) -> VideoStream:
    """Add a yuv420p H.264 stream of ``size`` (width, height) with the colour tags of ``like``."""
    stream = container.add_stream("libx264", rate=rate)
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    context, tags = stream.codec_context, like.codec_context
    context.time_base, context.thread_count = 1 / rate, ENCODER_THREADS
    context.color_range, context.colorspace = tags.color_range, tags.colorspace
    context.color_primaries, context.color_trc = tags.color_primaries, tags.color_trc
    stream.options = {
        "crf": str(settings.crf),
        "preset": settings.preset,
        "flags": "+bitexact",
        # Without it the same frames give other bytes on CPUs with SSE2, AVX2 and AVX-512.
        "x264-params": "cpu-independent=1",
        **({} if settings.b_frames else {"bf": "0"}),
    }
    return stream


def add_flac(container: OutputContainer, rate: int, layout: str) -> AudioStream:
    """Add a 16-bit FLAC stream."""
    # Fitted predictors would come from floating-point sums, which differ by CPU.
    stream = container.add_stream("flac", rate=rate, options={"lpc_type": "fixed", "flags": "+bitexact"})
    stream.format, stream.layout = "s16", layout
    return stream


def encode_video(stream: VideoStream, frames: Iterable[VideoFrame]) -> Iterator[Packet]:
    """Yield the packets of ``frames``, shown one after the other whatever their own time stamps."""
    for number, frame in enumerate(frames):
        frame.pts, frame.time_base, frame.pict_type = number, stream.codec_context.time_base, 0
        yield from stream.encode(frame)
    yield from stream.encode(None)


def encode_audio(stream: AudioStream, pieces: Iterable[np.ndarray]) -> Iterator[Packet]:
    """Yield the packets of ``pieces``, int16 [channels, samples], heard one after the other without gap."""
    position = 0
    for samples in pieces:
        interleaved = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = AudioFrame.from_ndarray(interleaved, format="s16", layout=stream.layout.name)
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
