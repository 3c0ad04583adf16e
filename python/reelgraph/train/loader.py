"""Reads what micro steps need ahead of time, in a thread, so that the device never waits for a file or for noise."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from reelgraph.errors import StageError
from reelgraph.train.counter import draw_normal
from reelgraph.train.flow import Sample, level
from reelgraph.train.plan import MicroStep
from reelgraph.train.tensors import read_tensors

AHEAD = 3


@dataclass(frozen=True)
class Loader:
    """Where latents and embeddings of each episode lie, and where and in which number format to hand them out."""

    latents: Mapping[str, Path]
    text: Mapping[str, Path]
    padded_tokens: int
    timestep_shift: float
    device: torch.device
    dtype: torch.dtype

    def samples(self, micro_steps: Iterable[MicroStep]) -> Iterator[Sample]:
        """Yield the micro steps with their tensors on the device, in order; a StageError names a clip without them."""
        waiting: deque[Future[Sample]] = deque()
        remaining = iter(micro_steps)
        with ThreadPoolExecutor(1) as thread:
            try:
                while True:
                    while len(waiting) < AHEAD and (micro_step := next(remaining, None)) is not None:
                        waiting.append(thread.submit(self.load, micro_step))
                    if not waiting:
                        return
                    yield self._to_device(waiting.popleft().result())
            finally:
                thread.shutdown(wait=True, cancel_futures=True)

    def load(self, micro_step: MicroStep) -> Sample:
        """Return a micro step with its tensors on the CPU, in pinned memory if they go to a GPU."""
        encoded = self._read(self.latents, micro_step, f"latents/{micro_step.clip}.safetensors", "latents")
        context = self._read(self.text, micro_step, f"text/{micro_step.prompt}.safetensors", "context")["context"]
        context = torch.nn.functional.pad(context, (0, 0, 0, self.padded_tokens - context.shape[0]))
        latents = encoded["latents"].unsqueeze(0)
        noise = torch.from_numpy(draw_normal(tuple(latents.shape), micro_step.noise_seed))
        condition = encoded["condition"].unsqueeze(0).to(self.dtype) if "condition" in encoded else None
        context = context.unsqueeze(0).to(self.dtype)
        noise_level = level(micro_step, self.timestep_shift)
        sample = Sample(micro_step, latents.to(self.dtype), context, noise, noise_level, condition)
        if self.device.type == "cuda":
            sample = replace(sample, **{name: tensor.pin_memory() for name, tensor in sample.tensors().items()})
        return sample

    def _to_device(self, sample: Sample) -> Sample:
        moved = {name: tensor.to(self.device, non_blocking=True) for name, tensor in sample.tensors().items()}
        return replace(sample, **moved)

    def _read(
        self, episodes: Mapping[str, Path], micro_step: MicroStep, file: str, key: str
    ) -> dict[str, torch.Tensor]:
        path = episodes.get(micro_step.episode, Path()) / file
        if not path.is_file():
            raise StageError(
                f"clip {micro_step.name}: its {key} ({file}) is missing; encode what was planned, or plan again"
            )
        return read_tensors(path)
