"""Small real films, made with PyAV, whose frames carry their own numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition

from reelgraph.media.mux import copy_packets

WIDTH, HEIGHT = 128, 96
NUMBER_BITS = 12
BIT_SIDE = 8
RATE = 44100
Shot = tuple[str, int]


def picture(kind: str, shot: int, number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Return an RGB picture [height, width, 3] in a shot's colours, the number as black and white squares in it."""
    if kind == "black":
        return np.zeros((height, width, 3), np.uint8)
    colours = np.array([[200, 60, 40], [40, 150, 70], [60, 70, 200], [210, 190, 60], [150, 60, 170], [90, 190, 200]])
    image = np.empty((height, width, 3), np.uint8)
    image[:] = colours[shot % len(colours)]
    image[: height // 4, : width // 2] = 255 - image[: height // 4, : width // 2]
    top, left = (height - BIT_SIDE) // 2, (width - NUMBER_BITS * BIT_SIDE) // 2
    for bit in range(NUMBER_BITS):
        column = left + bit * BIT_SIDE
        image[top : top + BIT_SIDE, column : column + BIT_SIDE] = 255 * (number >> bit & 1)
    return image


def read_number(frame: av.VideoFrame) -> int:
    """Return the number that ``picture`` put in the middle of a frame, which may have been cropped but not scaled."""
    grey = frame.to_ndarray(format="gray")
    top, left = (frame.height - BIT_SIDE) // 2, (frame.width - NUMBER_BITS * BIT_SIDE) // 2
    rows = grey[top + 2 : top + BIT_SIDE - 2, left : left + NUMBER_BITS * BIT_SIDE]
    return sum(
        int(rows[:, bit * BIT_SIDE + 2 : (bit + 1) * BIT_SIDE - 2].mean() > 127) << bit for bit in range(NUMBER_BITS)
    )


def read_numbers(path: Path) -> list[int]:
    """Return the number in every frame of a film, in the order shown."""
    with av.open(str(path)) as container:
        return [read_number(frame) for frame in container.decode(video=0)]


def tone(samples: int, amplitude: int = 2000) -> np.ndarray:
    """Return a stereo soundtrack, int16 [2, samples], in which no two stretches are alike."""
    time = np.arange(samples) / RATE
    left = amplitude * np.sin(2 * np.pi * (300 + 20 * time) * time)
    return np.stack([left, left[::-1]]).astype(np.int16)


def read_sound(path: Path) -> np.ndarray:
    """Return the first audio stream as int16 [channels, samples]."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16p")
        pieces = [piece.to_ndarray() for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        return np.concatenate(pieces, axis=1)


def write_film(
    path: Path,
    shots: Sequence[Shot],
    fps: Fraction = Fraction(24),
    size: tuple[int, int] = (WIDTH, HEIGHT),
    sound: str | None = "tone",
    steps: Sequence[int] | None = None,
    options: dict[str, str] | None = None,
    audio_codec: str = "flac",
) -> Path:
    """Write a film of ``shots``, each a kind (moving, still, black) and its number of frames.

    ``sound`` is tone, silence or None for no stream at all; ``steps`` are the frames' durations in frames of ``fps``.
    """
    frames = [(kind, shot, number) for shot, (kind, count) in enumerate(shots) for number in range(count)]
    starts = np.cumsum([0, *(count for _, count in shots)])
    with av.open(str(path), "w", options={"fflags": "+bitexact", **(options or {})}) as container:
        video = container.add_stream("libx264", rate=fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.codec_context.time_base, video.codec_context.thread_count = 1 / fps, 1
        video.options = {"preset": "ultrafast", "crf": "10", "g": "24"}
        if sound is not None:
            audio = container.add_stream(audio_codec, rate=RATE)
            audio.layout = "stereo"
            length = round(sum(steps or [1] * len(frames)) * RATE / fps)
            samples = tone(length) if sound == "tone" else np.zeros((2, length), np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), "s16", "stereo")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            for packet in (*audio.encode(frame), *audio.encode(None)):
                container.mux(packet)
        time = 0
        for index, (kind, shot, number) in enumerate(frames):
            image = picture(kind, shot, int(starts[shot]) + (0 if kind == "still" else number), *size)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = time, 1 / fps
            time += steps[index] if steps else 1
            for packet in video.encode(frame):
                container.mux(packet)
        for packet in video.encode(None):
            container.mux(packet)
    return path


def join_sounds(path: Path, sounds: Sequence[tuple[Path, str | None, Disposition]]) -> Path:
    """Write a film with the picture of the first of ``sounds`` and the sound of each, its language and disposition."""
    with contextlib.ExitStack() as opened:
        out = opened.enter_context(av.open(str(path), "w"))
        seen, *heard = [opened.enter_context(av.open(str(film))) for film, _, _ in (sounds[0], *sounds)]
        sources = [seen.streams.video[0], *(film.streams.audio[0] for film in heard)]
        streams = [out.add_stream_from_template(source) for source in sources]
        for stream, (_, language, disposition) in zip(streams[1:], sounds, strict=True):
            stream.disposition = disposition
            if language is not None:
                stream.metadata["language"] = language
        copy_packets(sources, streams)
    return path
