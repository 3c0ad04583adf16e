"""Tiers of GPU memory, and what was measured to fit: for the dry run and the preflight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reelgraph.files import read_json
from reelgraph.stage import validate

GIB = 1 << 30
GB = 10**9


@dataclass(frozen=True)
class Tier:
    """A class of cards by memory, as sold (``memory_gb`` of 10^9 bytes is the safe reading of a card's label)."""

    name: str
    memory_gb: int

    def fits(self, peak_gib: float) -> bool:
        """Whether a measured peak fits into one card's memory; the driver's own share is not counted."""
        return peak_gib * GIB <= self.memory_gb * GB


@dataclass(frozen=True)
class Measured:
    """One measured step: at which shape and with how much recomputation, how long, and its peak memory."""

    model: str
    what: str
    width: int
    height: int
    frames: int
    recompute: str
    exact: bool | None
    seconds: float
    peak_gib: float
    gpu: str


@cache
def tiers() -> tuple[Tier, ...]:
    """Return the tiers, smallest first."""
    return tuple(Tier(**tier) for tier in _read()["tiers"])


@cache
def measurements() -> tuple[Measured, ...]:
    """Return everything measured, in the table's order."""
    return tuple(Measured(**measured) for measured in _read()["measured"])


def smallest_tier(peak_gib: float) -> Tier | None:
    """Return the smallest tier into which a peak fits, or None."""
    return next((tier for tier in tiers() if tier.fits(peak_gib)), None)


def _read() -> dict[str, list[dict[str, object]]]:
    value = read_json(Path(__file__).with_name("hardware.json"))
    validate(value, "hardware", "hardware.json")
    return value
