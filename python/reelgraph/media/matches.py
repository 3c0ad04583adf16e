"""Which shots of many episodes are the same pictures, found by an index and not by comparing all with all."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

SAME_BITS = 31  # of 256; the same shot at another size and bit rate differs in up to 14, other shots in 46 and more
PARTS = 16  # of a fingerprint: two that differ in fewer bits than that agree in one part at least

Matches = dict[tuple[str, str], set[tuple[int, int]]]


def same_shots(episodes: Mapping[str, Mapping[str, Any]]) -> Matches:
    """Return for each two episodes that share pictures, in the order of their names, the numbers of the same shots.

    Found for certain where a fingerprint of each differs in fewer than PARTS bits, nearly so up to SAME_BITS. The work
    grows with the number of fingerprints and with what is alike, not with the number of pairs.
    """
    names = sorted(episodes)
    owners = [
        (episode, shot, value)
        for episode, name in enumerate(names)
        for shot, entry in enumerate(episodes[name]["shots"])
        for value in entry["pdq"]
    ]
    found: Matches = defaultdict(set)
    if not owners:
        return found
    packed = np.frombuffer(bytes.fromhex("".join(value for _, _, value in owners)), np.uint8).reshape(len(owners), -1)
    words, parts = packed.view(np.uint64), packed.view(np.uint16)
    episode, shot = (np.array([owner[side] for owner in owners]) for side in (0, 1))
    for part in range(PARTS):
        for first, second in _equal(parts[:, part]):
            pair = episode[first] != episode[second]
            first, second = first[pair], second[pair]
            near = np.bitwise_count(words[first] ^ words[second]).sum(axis=1) <= SAME_BITS
            first, second = first[near], second[near]
            rows = np.stack([episode[first], episode[second], shot[first], shot[second]], axis=1)
            for one, other, row, column in np.unique(rows, axis=0).tolist():
                found[names[one], names[other]].add((row, column))
    return found


def _equal(values: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield places of equal values, the lower place first, until every pair of them has come."""
    order = np.argsort(values, kind="stable")
    ordered, apart = values[order], 1
    while apart < len(order):
        (equal,) = np.nonzero(ordered[apart:] == ordered[:-apart])
        if not len(equal):
            return
        yield order[equal], order[equal + apart]
        apart += 1


def longest_ascent(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest list of ``pairs`` that ascends on both sides."""
    # Of one row's columns the highest comes first, so that none of them can follow another.
    ordered = sorted(pairs, key=lambda pair: (pair[0], -pair[1]))
    ends: list[int] = []  # of the best list of each length, the place of its last pair
    columns: list[int] = []
    before: list[int] = []
    for place, (_, column) in enumerate(ordered):
        length = bisect_left(columns, column)
        before.append(ends[length - 1] if length else -1)
        ends[length : length + 1], columns[length : length + 1] = [place], [column]
    chain, place = [], ends[-1] if ends else -1
    while place >= 0:
        chain.append(ordered[place])
        place = before[place]
    return chain[::-1]
