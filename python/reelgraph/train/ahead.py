"""Gets what micro steps need ahead of time, in a thread, so that the device never waits for a file or for noise."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import torch

from reelgraph.errors import StageError
from reelgraph.train.plan import MicroStep
from reelgraph.train.tensors import read_tensors

AHEAD = 3


class Loader(Protocol):
    """Hands out micro steps as samples: frozen dataclasses with ``tensors()``, which a loss takes."""

    device: torch.device

    def samples(self, micro_steps: Iterable[MicroStep]) -> Iterator[Any]:
        """Yield the micro steps with their tensors on the device, in order; a StageError names a clip without them."""


def ahead(micro_steps: Iterable[MicroStep], load: Callable[[MicroStep], Any], device: torch.device) -> Iterator[Any]:
    """Yield ``load(micro_step)`` in order, its tensors moved to ``device`` while the one before is at work."""
    waiting: deque[Future[Any]] = deque()
    remaining = iter(micro_steps)
    pinned: Callable[[MicroStep], Any] = load
    if device.type == "cuda":
        pinned = lambda micro_step: each_tensor(load(micro_step), torch.Tensor.pin_memory)  # noqa: E731
    with ThreadPoolExecutor(1) as thread:
        try:
            while True:
                while len(waiting) < AHEAD and (micro_step := next(remaining, None)) is not None:
                    waiting.append(thread.submit(pinned, micro_step))
                if not waiting:
                    return
                yield each_tensor(waiting.popleft().result(), lambda tensor: tensor.to(device, non_blocking=True))
        finally:
            thread.shutdown(wait=True, cancel_futures=True)


def each_tensor(sample: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """Return a sample with every tensor of it changed."""
    return replace(sample, **{name: change(tensor) for name, tensor in sample.tensors().items()})


def read_encoded(episodes: Mapping[str, Path], micro_step: MicroStep, file: str, what: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a micro step's file under its episode's directory; a StageError names what is missing."""
    path = episodes.get(micro_step.episode, Path()) / file
    if not path.is_file():
        raise StageError(
            f"clip {micro_step.name}: its {what} ({file}) is missing; encode what was planned, or plan again"
        )
    return read_tensors(path)
