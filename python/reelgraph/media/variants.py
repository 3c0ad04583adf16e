"""Two episodes beside each other: which of their shots are the same pictures, in which order, under which sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reelgraph.media.fingerprints import distances

SAME_BITS = 31  # of 256; the same shot at another size and bit rate differs in up to 14, other shots in 46 and more
REVIEW_BITS = 60
SAME_SHARE = 0.98
VARIANT_SHARE = 0.8
CONTAINED_SHARE = 0.2
DIFFERENT_SHARE = 0.05
SOUND_BITS = 0.3  # of the bits of a quarter of a second; other sound differs in half of them
SOUND_SHARE = 0.9
SOUND_SHIFTS = 4  # encoders start a few samples early or late


@dataclass(frozen=True)
class Run:
    """Shots in a row of both episodes, as half-open frame ranges; either may be empty where they differ."""

    first: tuple[int, int]
    second: tuple[int, int]
    same: bool


def shot_distances(first: Mapping[str, Any], second: Mapping[str, Any]) -> np.ndarray:
    """Return the smallest distance of each pair of shots [first's, second's]; 256 where one has no fingerprint."""
    sides = [
        [(number, value) for number, shot in enumerate(side["shots"]) for value in shot["pdq"]]
        for side in (first, second)
    ]
    nearest = np.full((len(first["shots"]), len(second["shots"])), 256)
    if sides[0] and sides[1]:
        apart = distances(*([value for _, value in side] for side in sides))
        rows, columns = (np.array([number for number, _ in side]) for side in sides)
        np.minimum.at(nearest, (rows[:, None], columns[None, :]), apart)
    return nearest


def align(same: np.ndarray) -> list[tuple[int, int]]:
    """Return the longest list of pairs of same shots that ascends in both episodes."""
    rows, columns = same.shape
    best = np.zeros((rows + 1, columns + 1), np.int32)
    for row in range(rows - 1, -1, -1):
        for column in range(columns - 1, -1, -1):
            best[row, column] = (
                best[row + 1, column + 1] + 1
                if same[row, column]
                else max(best[row + 1, column], best[row, column + 1])
            )
    pairs, row, column = [], 0, 0
    while row < rows and column < columns:
        if same[row, column] and best[row, column] == best[row + 1, column + 1] + 1:
            pairs.append((row, column))
            row, column = row + 1, column + 1
        elif best[row + 1, column] >= best[row, column + 1]:
            row += 1
        else:
            column += 1
    return pairs


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


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two fingerprints.json say of each other: verdict, shares, runs, sound."""
    apart = shot_distances(first, second)
    same = apart <= SAME_BITS
    contained = [share(first, same.any(axis=1)), share(second, same.any(axis=0))]
    pairs = align(same) if max(contained) >= DIFFERENT_SHARE else []
    rows, columns = {row for row, _ in pairs}, {column for _, column in pairs}
    ordered = [
        share(first, [number in rows for number in range(same.shape[0])]),
        share(second, [number in columns for number in range(same.shape[1])]),
    ]
    found = runs(first, second, pairs) if pairs else []
    sound = sound_share(first, second, [run for run in found if run.same])
    unclear = int(((apart.min(axis=1) > SAME_BITS) & (apart.min(axis=1) <= REVIEW_BITS)).sum())
    if min(ordered) >= SAME_SHARE and sound is not None and sound >= SOUND_SHARE:
        verdict = "same"
    elif min(ordered) >= VARIANT_SHARE:
        verdict = "variant"
    elif max(contained) < CONTAINED_SHARE:
        verdict = "different"
    else:
        verdict = "needs-a-person"
    return {
        "verdict": verdict,
        "in_order": ordered,
        "contained": contained,
        "unclear_shots": unclear,
        "same_sound": sound,
        "runs": [{"first": list(run.first), "second": list(run.second), "same": run.same} for run in found],
    }
