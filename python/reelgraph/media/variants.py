"""Two episodes beside each other: which of their shots are the same pictures, in which order, under which sound."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reelgraph.media.fingerprints import BITS, distances
from reelgraph.media.matches import SAME_BITS, longest_ascent

REVIEW_BITS = 60
SAME_SHARE = 0.98
VARIANT_SHARE = 0.8
CONTAINED_SHARE = 0.2
SOUND_BITS = 0.3  # of the bits of a quarter of a second; other sound differs in half of them
SOUND_SHARE = 0.9
SOUND_SHIFTS = 4  # encoders start a few samples early or late


@dataclass(frozen=True)
class Run:
    """Shots in a row of both episodes, as half-open frame ranges; either may be empty where they differ."""

    first: tuple[int, int]
    second: tuple[int, int]
    same: bool


def unclear_shots(first: Mapping[str, Any], second: Mapping[str, Any]) -> int:
    """Return how many of the first's shots are neither clearly in the second nor clearly not."""
    sides = [
        [(number, value) for number, shot in enumerate(side["shots"]) for value in shot["pdq"]]
        for side in (first, second)
    ]
    if not all(sides):
        return 0
    apart = distances(*([value for _, value in side] for side in sides)).min(axis=1)
    nearest = np.full(len(first["shots"]), BITS)
    np.minimum.at(nearest, [number for number, _ in sides[0]], apart)
    return int(((nearest > SAME_BITS) & (nearest <= REVIEW_BITS)).sum())


def runs(first: Mapping[str, Any], second: Mapping[str, Any], pairs: Sequence[tuple[int, int]]) -> list[Run]:
    """Return both episodes from start to end as runs of the same shots and of others, in turn."""
    sides = [[*side["shots"], {"start": side["frames"], "end": side["frames"]}] for side in (first, second)]
    found: list[Run] = []
    at = [0, 0]
    for row, column in [*pairs, (len(sides[0]) - 1, len(sides[1]) - 1)]:
        here = sides[0][row], sides[1][column]
        starts = [shot["start"] for shot in here]
        if starts != at:
            found.append(Run((at[0], starts[0]), (at[1], starts[1]), same=False))
        ends = [shot["end"] for shot in here]
        if ends != starts:
            last = found[-1] if found and found[-1].same else None
            if last:
                found[-1] = Run((last.first[0], ends[0]), (last.second[0], ends[1]), same=True)
            else:
                found.append(Run((starts[0], ends[0]), (starts[1], ends[1]), same=True))
        at = ends
    return found


def sound_share(first: Mapping[str, Any], second: Mapping[str, Any], same: Sequence[Run]) -> float | None:
    """Return the share of the sound under the same pictures that is the same, or None where there is none."""
    heard, alike = 0, 0
    sounds = [np.array(side["sound"]["signs"], np.uint16) for side in (first, second)]
    for run in same:
        pieces = []
        for side, sound, span in zip((first, second), sounds, (run.first, run.second), strict=True):
            step = side["sound"]["seconds"]
            start = round(span[0] / side["fps"] / step)
            pieces.append((sound, start, round((span[1] - span[0]) / side["fps"] / step)))
        length = min(piece[2] for piece in pieces)
        best = None
        for shift in range(-SOUND_SHIFTS, SOUND_SHIFTS + 1):
            a = pieces[0][0][pieces[0][1] : pieces[0][1] + length]
            b = pieces[1][0][max(pieces[1][1] + shift, 0) : max(pieces[1][1] + shift, 0) + length]
            both = min(len(a), len(b))
            if both:
                bits = np.unpackbits((a[:both] ^ b[:both]).view(np.uint8).reshape(-1, 2), axis=1).mean(axis=1)
                score = int((bits < SOUND_BITS).sum()), both
                best = score if best is None or score[0] > best[0] else best
        if best:
            alike, heard = alike + best[0], heard + best[1]
    return round(alike / heard, 3) if heard else None


def share(side: Mapping[str, Any], matched: Sequence[bool]) -> float:
    """Return how much of an episode's fingerprinted frames lie in matched shots."""
    lengths = [(shot["end"] - shot["start"]) * bool(shot["pdq"]) for shot in side["shots"]]
    whole = sum(lengths)
    return round(sum(length for length, yes in zip(lengths, matched, strict=True) if yes) / whole, 3) if whole else 0.0


def compare(first: Mapping[str, Any], second: Mapping[str, Any], same: Collection[tuple[int, int]]) -> dict[str, Any]:
    """Return verdict, shares, runs and sound of two fingerprints.json; ``same`` are the shots that are alike."""
    pairs = longest_ascent(same)
    contained, ordered = (
        [
            share(side, [number in matched for number in range(len(side["shots"]))])
            for side, matched in zip((first, second), map(set, zip(*found, strict=True)), strict=True)
        ]
        if found
        else [0.0, 0.0]
        for found in (same, pairs)
    )
    found = runs(first, second, pairs) if pairs else []
    different = max(contained) < CONTAINED_SHARE
    sound = None if different else sound_share(first, second, [run for run in found if run.same])
    if min(ordered) >= SAME_SHARE and sound is not None and sound >= SOUND_SHARE:
        verdict = "same"
    elif min(ordered) >= VARIANT_SHARE:
        verdict = "variant"
    else:
        verdict = "different" if different else "needs-a-person"
    return {
        "verdict": verdict,
        "in_order": ordered,
        "contained": contained,
        "unclear_shots": 0 if different else unclear_shots(first, second),
        "same_sound": sound,
        "runs": [{"first": list(run.first), "second": list(run.second), "same": run.same} for run in found],
    }
