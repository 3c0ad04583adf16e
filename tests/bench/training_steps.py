"""What both trainers' benchmarks share: random models, timed steps, hashes of what was trained, the report."""

from __future__ import annotations

import gc
import hashlib
import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from reelgraph.train.strict import compute_strictly
from reelgraph.train.trainer import StepResult

GIB = 1 << 30


@dataclass(frozen=True)
class Sizes:
    """What is measured: the transformer's arguments, clip, number of steps; the first ``warm`` compile and record."""

    device: str
    dtype: torch.dtype
    dit: dict[str, Any]
    width: int
    height: int
    warm: int
    steps: int


@contextmanager
def drawing_weights(sizes: Sizes) -> Iterator[None]:
    """Make what is built inside on the device, in the type, from one seed."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(sizes.dtype)
    torch.manual_seed(0)
    try:
        with torch.device(sizes.device):
            yield
    finally:
        torch.set_default_dtype(before)


def synchronize(sizes: Sizes) -> None:
    """Wait until the GPU has done what it was given."""
    if sizes.device == "cuda":
        torch.cuda.synchronize()


def forget_peak(sizes: Sizes) -> None:
    """Count the most memory from here on."""
    if sizes.device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak(sizes: Sizes) -> float:
    """Return the most memory that tensors held since it was last forgotten, in GiB."""
    return round(torch.cuda.max_memory_allocated() / GIB, 2) if sizes.device == "cuda" else 0.0


def measure(steps: Iterator[Any], sizes: Sizes) -> dict[str, Any]:
    """Do ``warm`` steps and then ``steps`` more; return seconds of one (together, and median alone) and peak GiB."""
    start = time.monotonic()
    for _ in range(sizes.warm):
        next(steps)
    synchronize(sizes)
    first, start = time.monotonic() - start, time.monotonic()
    for _ in range(sizes.steps):
        next(steps)
    synchronize(sizes)
    seconds = (time.monotonic() - start) / sizes.steps
    alone = []
    for _ in range(sizes.steps):
        start = time.monotonic()
        result = next(steps)
        synchronize(sizes)
        alone.append(time.monotonic() - start)
    # Numbers that are none take less power, so they would be fast.
    if isinstance(result, StepResult):
        result.check()
    row = {"seconds": round(seconds, 4), "median_alone": round(median(alone), 4), "warm_up_seconds": round(first, 1)}
    return {**row, "peak_gib": peak(sizes)}


def fresh_lora(model: torch.nn.Module, profile: str, seed: int = 1) -> dict[str, torch.nn.Parameter]:
    """Return a model's LoRA as at the start of a training: A drawn from ``seed``, B zero, no gradients."""
    compute_strictly(profile)
    lora = {name: value for name, value in sorted(model.named_parameters()) if ".lora_" in name}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in lora.items():
            drawn = torch.randn(value.shape, generator=generator) * 0.02 if ".lora_A." in name else None
            value.copy_(torch.zeros(value.shape) if drawn is None else drawn)
            value.grad = None
    return lora


def sha256(tensors: Iterable[torch.Tensor]) -> str:
    """Return the hash of tensors' bytes, in order."""
    digest = hashlib.sha256()
    for value in tensors:
        digest.update(value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


def free() -> None:
    """Give back what deleted models held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@dataclass
class Report:
    """The rows of a benchmark, each printed and written to ``output`` as soon as it is there."""

    output: Path
    sizes: Sizes
    rows: list[dict[str, Any]] = field(default_factory=list)
    more: Callable[[list[dict[str, Any]]], Mapping[str, Any]] = lambda rows: {}

    def add(self, work: Callable[[], dict[str, Any]], **labels: Any) -> None:
        """Measure and note; a measurement that fails is a row that says so, with the memory it had reached."""
        try:
            row = {**labels, **work()}
        except Exception as error:
            traceback.print_exc()
            row = {**labels, "failed": str(error)[:300], "peak_gib": peak(self.sizes)}
        free()
        self.rows.append(row)
        print(json.dumps(row), flush=True)
        cuda = self.sizes.device == "cuda"
        machine = {"machine": torch.cuda.get_device_name() if cuda else "CPU", "torch": torch.__version__}
        machine |= {"memory_gib": round(torch.cuda.get_device_properties(0).total_memory / GIB, 1)} if cuda else {}
        report = {**machine, "rows": self.rows, **self.more(self.rows), "command": sys.argv[1:]}
        self.output.write_text(json.dumps(report, indent=2) + "\n")
