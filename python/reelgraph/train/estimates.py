"""What a training run needs of a GPU, from steps that were measured: seconds and memory by tokens and recomputation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.files import read_json

TABLE = Path(__file__).with_name("estimates.json")
RECOMPUTE = ("none", "feed-forward", "full")
# Usable of a card's memory: drivers and the allocator's gaps take the rest.
USABLE_SHARE = 0.92


@dataclass(frozen=True)
class Estimate:
    """Seconds of one clip's forward and backward pass, and the peak of memory, on a named GPU."""

    recompute: str
    seconds: float
    peak_gib: float


def table() -> dict[str, Any]:
    """Return estimates.json: ``gpu``, ``conditions``, ``tiers_gb``, and ``measured`` rows of model, tokens and cost."""
    return read_json(TABLE)


def estimate(model: str, tokens: int, recompute: str) -> Estimate | None:
    """Return what a step on a clip of ``tokens`` takes, from two measured sizes; None if nothing was measured.

    Memory grows in proportion to tokens. So does time, and attention's share of it with their square, where the larger
    size took more for each token than the smaller.
    """
    rows = sorted(
        (row["tokens"], row["seconds"], row["peak_gib"])
        for row in table()["measured"]
        if (row["model"], row["recompute"]) == (model, recompute)
    )
    if not rows:
        return None
    (small, small_seconds, small_gib), (large, large_seconds, large_gib) = rows[0], rows[-1]
    square = max(0.0, (large_seconds / large - small_seconds / small) / (large - small))
    linear = large_seconds / large - square * large
    slope = (large_gib - small_gib) / (large - small)
    return Estimate(recompute, tokens * (linear + square * tokens), large_gib + slope * (tokens - large))


def fitting(model: str, tokens: int, memory_gb: int) -> Estimate | None:
    """Return the estimate with the least recomputation that fits a card of ``memory_gb`` 10^9 bytes, or None."""
    memory_gib = memory_gb * 1e9 / 2**30
    for recompute in RECOMPUTE:
        found = estimate(model, tokens, recompute)
        if found is not None and found.peak_gib <= memory_gib * USABLE_SHARE:
            return found
    return None


def run_seconds(model: str, tokens: dict[int, int], recompute: str) -> float | None:
    """Return seconds of a whole run on the measured GPU; ``tokens`` maps a clip's tokens to its micro steps."""
    total = 0.0
    for size, count in tokens.items():
        found = estimate(model, size, recompute)
        if found is None:
            return None
        total += count * found.seconds
    return total
