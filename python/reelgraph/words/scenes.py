"""Scenes by place, picture and time, where no person has said where one ends."""

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
    places: Mapping[int, str],
    fps: Fraction,
    distance: float,
    lookback: float,
) -> list[dict[str, int]]:
    """Return frame ranges of scenes: from each shot to the last one near in time of the same place or colours.

    ``pictures`` are the colours of the shots that have any; another shot stays with the one before it. ``places`` are
    the places of those of which they are known: a scene has one, and ends where the next begins. ``distance`` is a
    share of pixels, ``lookback`` seconds between the two shots.
    """
    starts, reach, place = [0], 0, places.get(0)
    for number, shot in enumerate(shots):
        elsewhere = place is not None and places.get(number, place) != place
        if elsewhere or (number > reach and number in pictures):
            starts.append(number)
            reach, place = number, None
        reach, place = max(reach, number), places.get(number, place)
        for other in range(number + 1, len(shots)):
            there = places.get(other)
            if (shots[other]["start"] - shot["end"]) / fps > lookback or (place and there and there != place):
                break
            if number in pictures and other in pictures:
                same_place = there is not None and there == places.get(number)
                if same_place or colour_distance(pictures[number], pictures[other]) <= distance:
                    reach = max(reach, other)
            elif other not in pictures and other == reach + 1:
                reach = other
    edges = [*(shots[number]["start"] for number in starts), shots[-1]["end"]]
    return [{"start": start, "end": end} for start, end in pairwise(edges)]
