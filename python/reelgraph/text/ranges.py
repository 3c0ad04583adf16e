"""Half-open frame ranges, as every entry with a ``start`` and an ``end`` has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

Range = Mapping[str, Any]


def shared_frames(one: Range, other: Range) -> int:
    """Return how many frames lie in both ranges."""
    return max(0, min(one["end"], other["end"]) - max(one["start"], other["start"]))


def contains(outer: Range, inner: Range) -> bool:
    """Return whether every frame of ``inner`` lies in ``outer``."""
    return outer["start"] <= inner["start"] and inner["end"] <= outer["end"]


def is_covered(wanted: Range, ranges: Iterable[Range]) -> bool:
    """Return whether every frame of ``wanted`` lies in one of ``ranges``."""
    reached = wanted["start"]
    for entry in sorted(ranges, key=lambda entry: entry["start"]):
        if entry["start"] <= reached:
            reached = max(reached, entry["end"])
    return reached >= wanted["end"]


def first_overlap(ranges: Iterable[Range]) -> tuple[Range, Range] | None:
    """Return two ranges that share a frame, the earliest such neighbours, or None."""
    ordered = sorted(ranges, key=lambda entry: (entry["start"], entry["end"]))
    return next(((one, other) for one, other in pairwise(ordered) if shared_frames(one, other)), None)


def frames(entry: Range) -> str:
    """Return ``frames 12-34`` for messages, half-open as in the files."""
    return f"frames {entry['start']}-{entry['end']}"
