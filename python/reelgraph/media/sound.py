"""Sound in integer arithmetic: what floating point rounds differently from one CPU to the next stays out of the mix."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.container import InputContainer

from reelgraph.errors import StageError
from reelgraph.media.frames import open_media, reading, video_stream

LOUDEST = 32767


@dataclass(frozen=True)
class Line:
    """A recording in a mix: its name, its first sample there, and its samples as int32 at the scale of 16 bits."""

    source: str
    start: int
    samples: np.ndarray

    @property
    def end(self) -> int:
        """The sample of the mix after the recording's last."""
        return self.start + len(self.samples)


def integer_resampler(sample_format: str, layout: str, rate: int) -> AudioResampler:
    """Return a resampler to ``rate`` samples a second that never leaves integers; libswresample's default does."""
    return AudioResampler(format=sample_format, layout=layout, rate=rate, options={"internal_sample_fmt": "s32p"})


def audio_stream(container: InputContainer, path: Path, number: int) -> av.AudioStream:
    """Return the audio stream that probe.json calls ``number``; a StageError says that this is another file's."""
    streams = container.streams.audio
    if number >= len(streams):
        raise StageError(
            f"{path.name}: has {len(streams)} audio streams, and its probe.json says that number {number} is heard; "
            "describe this master again, with the stage 'source'"
        )
    return streams[number]


def integer_decoder(stream: av.AudioStream) -> av.AudioCodecContext:
    """Return a decoder for ``stream`` that computes in integers where FFmpeg's usual one, AAC's, does not."""
    if stream.codec_context.name != "aac":
        return stream.codec_context
    decoder = av.CodecContext.create("aac_fixed", "r")
    decoder.extradata = stream.codec_context.extradata
    return decoder


def read_recording(path: Path, name: str, rate: int) -> np.ndarray:
    """Return a mono 16-bit WAV as int16 samples, ``rate`` a second; a StageError calls another file ``name``."""
    try:
        with wave.open(str(path)) as recording:
            shape = (recording.getnchannels(), recording.getsampwidth())
            samples = np.frombuffer(recording.readframes(recording.getnframes()), "<i2")
            frame = AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = recording.getframerate()
    except (wave.Error, EOFError) as error:
        raise StageError(f"{name}: is not a WAV recording ({error}); give one that is mono and of 16 bits") from error
    if shape != (1, 2):
        raise StageError(
            f"{name}: has {shape[0]} channels of {8 * shape[1]} bits; give a recording that is mono and of 16 bits"
        )
    resampler = integer_resampler("s16", "mono", rate)
    return np.concatenate([piece.to_ndarray()[0] for part in (frame, None) for piece in resampler.resample(part)])


def soundtrack(stream: av.AudioStream, film: Path, start: Fraction, end: Fraction) -> Iterator[np.ndarray]:
    """Yield an audio stream of ``film`` from ``start`` to before ``end``, in seconds after its picture's first frame.

    Comes as int16 arrays [channels, samples], with silence where the stream has gaps.
    """
    container = stream.container
    picture = video_stream(container, film)
    decoder = integer_decoder(stream)
    resampler = integer_resampler("s16p", stream.layout.name, stream.rate)
    zero = (picture.start_time or 0) * picture.time_base
    done, last = round(start * stream.rate), round(end * stream.rate)
    # Matroska rounds time stamps to milliseconds; samples that follow within that belong together.
    rounding, expected = stream.time_base * stream.rate, None
    with reading(film):
        # A second earlier, since a decoder needs what came before.
        container.seek(int(max(start + zero - 1, 0) / stream.time_base), stream=stream)
        for packet in container.demux(stream):
            for frame in decoder.decode(packet):
                position = round((frame.pts * stream.time_base - zero) * stream.rate)
                if expected is not None and abs(position - expected) <= rounding:
                    position = expected
                frame.pts = None
                samples = np.concatenate([piece.to_ndarray() for piece in resampler.resample(frame)], axis=1)
                expected = position + samples.shape[1]
                if done < min(position, last):
                    yield np.zeros((stream.channels, min(position, last) - done), np.int16)
                    done = min(position, last)
                kept = samples[:, done - position : max(last - position, 0)]
                if kept.size:
                    yield kept
                    done += kept.shape[1]
    if done < last:
        yield np.zeros((stream.channels, last - done), np.int16)


def mix(soundtrack: Iterator[np.ndarray], lines: Sequence[Line]) -> Iterator[np.ndarray]:
    """Yield ``soundtrack``, int16 [channels, samples], with ``lines`` on every channel; clipping is a StageError."""
    position = 0
    for samples in soundtrack:
        mixed, end = samples.astype(np.int32), position + samples.shape[1]
        for line in lines:
            first, last = max(line.start, position), min(line.end, end)
            if first < last:
                mixed[:, first - position : last - position] += line.samples[first - line.start : last - line.start]
                if np.abs(mixed).max() > LOUDEST:
                    raise StageError(
                        f"dialogue: '{line.source}' and the soundtrack clip; lower speech_gain_percent or move the line"
                    )
        yield mixed.astype(np.int16)
        position = end


def to_stereo(samples: np.ndarray, layout: str, rate: int) -> np.ndarray:
    """Return int16 [channels, samples] of a layout as int16 [2, samples]: one channel twice, more mixed down."""
    if samples.shape[0] == 1:
        return np.repeat(samples, 2, axis=0)
    if samples.shape[0] == 2 or not samples.size:
        return samples[:2]
    frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="s16p", layout=layout)
    frame.sample_rate = rate
    resampler = integer_resampler("s16p", "stereo", rate)
    return np.concatenate([piece.to_ndarray() for part in (frame, None) for piece in resampler.resample(part)], axis=1)


def read_flac(path: Path, expected: int) -> tuple[np.ndarray, int]:
    """Return a stereo FLAC's int16 [2, ``expected``] and samples a second; a StageError names a file that is not."""
    with open_media(path) as container, reading(path):
        stream = container.streams.audio[0]
        frames = [frame.to_ndarray().reshape(-1, 2).T for frame in container.decode(stream)]
        samples, rate = np.concatenate(frames, axis=1), stream.rate
    if samples.shape[1] != expected:
        raise StageError(
            f"{path.name}: has {samples.shape[1]} samples, sound.json says {expected}; cut the sound again"
        )
    return samples, rate
