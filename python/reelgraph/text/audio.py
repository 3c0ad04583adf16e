"""The sound of a master as Whisper hears it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from pathlib import Path

import av
import numpy as np

from reelgraph.errors import StageError
from reelgraph.media.sound import audio_stream, integer_decoder, integer_resampler

SAMPLE_RATE = 16_000
# Codecs' own frames are so short that calling the resampler takes longer than resampling.
SAMPLES_AT_ONCE = 500_000


def read_audio(path: Path, number: int) -> tuple[np.ndarray, float]:
    """Return audio stream ``number`` as float32 mono samples in -1..1 at 16 kHz, and when it starts.

    The start is in seconds after the first frame of the picture, or zero where the file has no picture. A file that is
    not media, has no audio stream or breaks off raises a StageError.
    """
    pieces: list[np.ndarray] = []
    try:
        with av.open(path) as container:
            stream = audio_stream(container, path, number)
            # In integers throughout, since floating point would give other samples on another processor.
            decoder = integer_decoder(stream)
            frames = (frame for packet in container.demux(stream) for frame in decoder.decode(packet))
            # Broadcasts change from stereo to mono and back within a film; a resampler does not.
            for _, alike in groupby(frames, lambda frame: (frame.format.name, frame.layout.name, frame.sample_rate)):
                resampler = integer_resampler("s16", "mono", SAMPLE_RATE)
                for frame in chain(_long_frames(alike), (None,)):
                    pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(frame))
            start = _start(stream)
            if container.streams.video:
                start -= _start(container.streams.video[0])
    except av.FFmpegError as error:
        seconds = sum(map(len, pieces)) / SAMPLE_RATE
        raise StageError(f"{path.name}: sound cannot be decoded after {seconds:.1f} s ({error.strerror})") from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return samples.astype(np.float32) / 32768.0, start


def _long_frames(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
    fifo = av.AudioFifo()
    for frame in frames:
        frame.pts = (
            None  # Many containers have time stamps with jitter, which the queue and the resampler would refuse.
        )
        fifo.write(frame)
        if fifo.samples >= SAMPLES_AT_ONCE:
            yield fifo.read()
    if rest := fifo.read():
        yield rest


def _start(stream: av.AudioStream | av.VideoStream) -> float:
    return float((stream.start_time or 0) * stream.time_base)
