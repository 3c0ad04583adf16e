"""A micro step's gradients; on CUDA recorded once for each size of clip and replayed, without the processor's launches.

A step launches some thousands of kernels. Launched one by one they cost the processor longer than the GPU needs to
compute them; as a CUDA graph they are one launch of the same kernels on the same memory, with the same bytes.
"""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import torch

from reelgraph.train.plan import MicroStep

Key = tuple[Any, ...]
Result = TypeVar("Result")


class Sample(Protocol):
    """A micro step with its tensors, as the model's own loss takes it: a frozen dataclass."""

    micro_step: MicroStep
    noise: torch.Tensor

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors that are there, by name."""


@dataclass(frozen=True)
class Recording:
    """A recorded micro step: the graph, and the tensors that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    sample: Sample
    share: torch.Tensor
    loss: torch.Tensor


@dataclass(frozen=True)
class Gradients:
    """Adds the gradients of ``loss`` to ``parameters``, whose ``grad`` stay the same tensors throughout.

    With ``recorded``, ``loss`` must not wait for the GPU, and all it depends on beside its tensors is the first frame.
    """

    loss: Callable[[Any], torch.Tensor]
    parameters: Sequence[torch.nn.Parameter]
    recorded: bool
    _recordings: dict[Key, Recording | None] = field(default_factory=dict)

    def clear(self) -> None:
        """Set all gradients to zero."""
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        torch._foreach_zero_([parameter.grad for parameter in self.parameters])

    def add(self, sample: Sample, micro_steps: int) -> torch.Tensor:
        """Add the gradients of one of ``micro_steps``, a share of their mean; return its loss."""
        share = torch.full((), float(micro_steps), device=sample.noise.device)
        if not self.recorded:
            return self._compute(sample, share)
        key = (sample.micro_step.first_frame, *((name, tensor.shape) for name, tensor in sample.tensors().items()))
        if key not in self._recordings:
            # The first one of a size compiles its kernels, which a recording must not.
            loss = self._making_room(lambda: self._compute(sample, share))
            self._recordings[key] = None
            return loss
        recording = self._recordings[key] or self._making_room(lambda: self._record(key, sample, share))
        for name, tensor in recording.sample.tensors().items():
            tensor.copy_(sample.tensors()[name])
        recording.share.copy_(share)
        recording.graph.replay()
        return recording.loss.clone()

    def _making_room(self, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except torch.OutOfMemoryError:
            if not any(self._recordings.values()):
                raise
            # Between replays a recording's memory is idle, but nobody else's; the next of its size is recorded again.
            self._recordings.update(dict.fromkeys(self._recordings))
        gc.collect()
        torch.cuda.empty_cache()
        # Nothing was added yet: that is done when all gradients are there, and takes no memory.
        return work()

    def _compute(self, sample: Sample, share: torch.Tensor) -> torch.Tensor:
        loss = self.loss(sample)
        gradients = torch.autograd.grad(loss / share, self.parameters, allow_unused=True)
        _add([parameter.grad for parameter in self.parameters], gradients)
        return loss.detach()

    def _record(self, key: Key, sample: Sample, share: torch.Tensor) -> Recording:
        own = replace(sample, **{name: tensor.clone() for name, tensor in sample.tensors().items()})
        own_share, graph = share.clone(), torch.cuda.CUDAGraph()
        others = [recording for recording in self._recordings.values() if recording]
        # One pool for all sizes: they never run at the same time. The loader's thread goes on allocating meanwhile.
        pool = others[0].graph.pool() if others else None
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            loss = self._compute(own, own_share)
        recording = Recording(graph, own, own_share, loss)
        self._recordings[key] = recording
        return recording


def _add(sums: Sequence[torch.Tensor], gradients: Sequence[torch.Tensor | None]) -> None:
    """Add ``gradients`` to ``sums`` by a few kernels; None is that of a parameter which the loss does not use."""
    found = {n: gradient for n, gradient in enumerate(gradients) if gradient is not None}
    # One kernel adds many only where each lies in memory as its sum does; those of joined layers lie beside each other.
    apart: dict[torch.Size, list[int]] = defaultdict(list)
    for n, gradient in found.items():
        if not gradient.is_contiguous():
            apart[gradient.shape[1:]].append(n)
    for numbers in apart.values():
        parts = [found[n] for n in numbers]
        found.update(zip(numbers, torch.cat(parts).split([len(part) for part in parts]), strict=True))
    torch._foreach_add_([sums[n] for n in found], list(found.values()))
