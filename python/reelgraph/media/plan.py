"""Which frames of an episode become clips, and why the others do not, from what was measured of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby


@dataclass(frozen=True)
class Rules:
    """What a clip must be; see schemas/clips.parameters.json."""

    frame_counts: Sequence[int]
    trim_frames: int
    black_luma: float
    repeat_change: float
    still_share: float


@dataclass(frozen=True)
class Clip:
    """Frames ``start`` to before ``end`` of a shot; ``frames`` are those shown, one for each frame of the clip."""

    start: int
    end: int
    shot: int
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Reject:
    """Frames ``start`` to before ``end`` in no clip: by which rule, what was measured and what the rule demands."""

    start: int
    end: int
    rule: str
    value: float
    threshold: float


@dataclass(frozen=True)
class Frames:
    """Each frame's mean grey, and the mean difference of its grey to the frame before, 0 to 255."""

    luma: Sequence[float]
    change: Sequence[float]


class Timeline:
    """When each frame is shown, and which one is nearest to a frame of a clip at another rate."""

    def __init__(self, times: Sequence[Fraction], fps: Fraction) -> None:
        """``times`` are the starts of all frames in seconds and the end of the last; ``fps`` is the clips' rate."""
        self._times, self._step = times, 1 / fps
        # Half a frame keeps clear of time stamps that the container rounded, and takes the nearer of two frames.
        self._clear = min(self._step, times[-1] / (len(times) - 1)) / 2

    def frame_at(self, start: int, number: int) -> int:
        """Return the frame nearest to frame ``number`` of a clip that starts at frame ``start``."""
        return bisect_right(self._times, self._times[start] + number * self._step + self._clear) - 1

    def sample(self, start: int, count: int) -> tuple[int, ...]:
        """Return the ``count`` frames of a clip that starts at frame ``start``; they may lie past the last frame."""
        return tuple(self.frame_at(start, number) for number in range(count))


def plan(shots: Sequence[tuple[int, int]], measured: Frames, timeline: Timeline, rules: Rules) -> list[Clip | Reject]:
    """Return clips and rejects in order: each frame of the ``shots``, which tile the episode, is in exactly one."""
    return [piece for shot in range(len(shots)) for piece in _plan_shot(shot, *shots[shot], measured, timeline, rules)]


def _plan_shot(
    shot: int, start: int, end: int, measured: Frames, timeline: Timeline, rules: Rules
) -> Iterator[Clip | Reject]:
    luma = measured.luma
    black = [value < rules.black_luma for value in luma[start:end]]
    repeats = [value <= rules.repeat_change for value in measured.change[start + 1 : end]]
    still = sum(repeats) / len(repeats) if repeats else 0.0
    # The first and the last frame of the episode have no neighbour shot that could show in them.
    head = min(start + (rules.trim_frames if start > 0 else 0), end)
    tail = max(end - (rules.trim_frames if end < len(luma) else 0), head)
    if start < head:
        yield Reject(start, head, "trim", head - start, rules.trim_frames)
    for is_black, run in groupby(range(head, tail), key=lambda frame: black[frame - start]):
        indices = list(run)
        first, last = indices[0], indices[-1] + 1
        if is_black:
            yield Reject(first, last, "black", round(sum(luma[first:last]) / len(indices), 2), rules.black_luma)
        elif still > rules.still_share:
            yield Reject(first, last, "still", round(still, 3), rules.still_share)
        else:
            yield from _fill(shot, first, last, timeline, rules)
    if tail < end:
        yield Reject(tail, end, "trim", end - tail, rules.trim_frames)


def _fill(shot: int, start: int, end: int, timeline: Timeline, rules: Rules) -> Iterator[Clip | Reject]:
    """Tile frames ``start`` to before ``end`` with the longest clips that fit, and reject what is left over."""
    rule = "too-short"
    while start < end:
        fitting = [count for count in rules.frame_counts if timeline.frame_at(start, count - 1) < end]
        if not fitting:
            yield Reject(start, end, rule, end - start, min(rules.frame_counts))
            return
        frames = timeline.sample(start, max(fitting))
        yield Clip(start, frames[-1] + 1, shot, frames)
        start, rule = frames[-1] + 1, "remainder"
