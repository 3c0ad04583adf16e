"""Scenes by picture and time, where no person has said where one ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from reelgraph.words.pictures import colour_distance


def scenes_by_picture(
    shots: Sequence[Mapping[str, Any]],
    pictures: Mapping[int, np.ndarray],
    fps: Fraction,
    distance: float,
    lookback: float,
) -> list[dict[str, int]]:
    """Return frame ranges of scenes: from each shot to the last one near in time that has the same colours.

    ``pictures`` are the colours of the shots that have any; another shot stays with the one before it. ``distance`` is
    a share of pixels, ``lookback`` seconds between the two shots.
    """
    starts, reach = [0], 0
    for number, shot in enumerate(shots):
        if number > reach and number in pictures:
            starts.append(number)
        reach = max(reach, number)
        for other in range(number + 1, len(shots)):
            if (shots[other]["start"] - shot["end"]) / fps > lookback:
                break
            if number in pictures and other in pictures:
                if colour_distance(pictures[number], pictures[other]) <= distance:
                    reach = max(reach, other)
            elif other not in pictures and other == reach + 1:
                reach = other
    edges = [*(shots[number]["start"] for number in starts), shots[-1]["end"]]
    return [{"start": start, "end": end} for start, end in pairwise(edges)]
