"""The sound of a master as Whisper hears it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from reelgraph.errors import StageError
from reelgraph.media.sound import integer_decoder, integer_resampler

SAMPLE_RATE = 16_000


def read_audio(path: Path) -> tuple[np.ndarray, float]:
    """Return the first audio stream as float32 mono samples in -1..1 at 16 kHz, and when it starts.

    The start is in seconds after the first frame of the picture, or zero where the file has no picture. A file that is
    not media, has no audio stream or breaks off raises a StageError.
    """
    pieces: list[np.ndarray] = []
    try:
        with av.open(path) as container:
            if not container.streams.audio:
                raise StageError(
                    f"{path.name}: has no audio stream, so it cannot be transcribed; give a master with sound"
                )
            # In integers throughout, since floating point would give other samples on another processor.
            decoder = integer_decoder(container.streams.audio[0])
            resampler = integer_resampler("s16", "mono", SAMPLE_RATE)
            for packet in container.demux(audio=0):
                for frame in decoder.decode(packet):
                    frame.pts = None  # The resampler would refuse the jitter of time stamps that many containers have.
                    pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(frame))
            pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(None))
            start = _start(container.streams.audio[0])
            if container.streams.video:
                start -= _start(container.streams.video[0])
    except av.FFmpegError as error:
        seconds = sum(map(len, pieces)) / SAMPLE_RATE
        raise StageError(f"{path.name}: sound cannot be decoded after {seconds:.1f} s ({error.strerror})") from error
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    return samples.astype(np.float32) / 32768.0, start


def _start(stream: av.AudioStream | av.VideoStream) -> float:
    return float((stream.start_time or 0) * stream.time_base)
