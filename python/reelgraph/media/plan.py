"""Which frames of an episode become clips, and why the others do not, from what was measured of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

CREDITS_SAMPLES = 3  # so many looks at one shot that find it full of text make it credits


@dataclass(frozen=True)
class Rules:
    """What a clip must be; see schemas/clips.parameters.json."""

    frame_counts: Sequence[int]
    trim_frames: int
    black_luma: float
    repeat_change: float
    still_share: float
    text_boxes: int
    text_area: float


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


@dataclass(frozen=True)
class Writing:
    """What is written in frames ``start`` to before ``end``: how many boxes, and their share of the picture."""

    start: int
    end: int
    boxes: int
    area: float


Span = tuple[int, int]


@dataclass(frozen=True)
class Marks:
    """What others said of ranges of frames: transitions (half-open), writing, and a person's word, which wins."""

    transitions: Sequence[Span] = ()
    writing: Sequence[Writing] = ()
    keep: Sequence[Span] = ()
    drop: Sequence[Span] = ()


@dataclass(frozen=True)
class Verdict:
    """Why a frame is in no clip; ``value`` is None where it is the number of frames."""

    rule: str
    value: float | None
    threshold: float


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


def plan(
    shots: Sequence[Span], measured: Frames, timeline: Timeline, rules: Rules, marks: Marks | None = None
) -> list[Clip | Reject]:
    """Return clips and rejects in order: each frame of the ``shots``, which tile the episode, is in exactly one."""
    marks = marks or Marks()
    return [
        piece
        for shot in range(len(shots))
        for piece in _plan_shot(shot, *shots[shot], measured, timeline, rules, marks)
    ]


def _plan_shot(
    shot: int, start: int, end: int, measured: Frames, timeline: Timeline, rules: Rules, marks: Marks
) -> Iterator[Clip | Reject]:
    verdicts = _verdicts(start, end, measured, rules, marks)
    for verdict, run in groupby(range(start, end), key=lambda frame: verdicts[frame - start]):
        indices = list(run)
        first, last = indices[0], indices[-1] + 1
        if verdict is None:
            yield from _fill(shot, first, last, timeline, rules)
        elif verdict.rule == "black":
            value = round(sum(measured.luma[first:last]) / len(indices), 2)
            yield Reject(first, last, verdict.rule, value, verdict.threshold)
        else:
            value = last - first if verdict.value is None else verdict.value
            yield Reject(first, last, verdict.rule, value, verdict.threshold)


def _verdicts(start: int, end: int, measured: Frames, rules: Rules, marks: Marks) -> list[Verdict | None]:
    """Return what keeps each frame of a shot out of a clip; of several reasons the first one named here."""
    luma, last = measured.luma, len(measured.luma)
    repeats = [value <= rules.repeat_change for value in measured.change[start + 1 : end]]
    still = sum(repeats) / len(repeats) if repeats else 0.0
    verdicts: list[Verdict | None] = [None] * (end - start)

    def mark(spans: Iterable[Span], verdict: Verdict | None) -> None:
        for first, after in spans:
            for frame in range(max(first, start), min(after, end)):
                verdicts[frame - start] = verdict

    for writing, rule in _written(start, end, rules, marks.writing):
        crowded = writing.boxes >= rules.text_boxes
        value, limit = (writing.boxes, rules.text_boxes) if crowded else (writing.area, rules.text_area)
        mark([(writing.start, writing.end)], Verdict(rule, value, limit))
    if still > rules.still_share:
        mark([(start, end)], Verdict("still", round(still, 3), rules.still_share))
    black = Verdict("black", None, rules.black_luma)
    mark(((frame, frame + 1) for frame in range(start, end) if luma[frame] < rules.black_luma), black)
    mark(marks.keep, None)
    mark(marks.transitions, Verdict("transition", None, 0))
    mark(marks.drop, Verdict("dropped-by-hand", None, 0))
    # The first and the last frame of the episode have no neighbour shot that could show in them.
    trim = Verdict("trim", None, rules.trim_frames)
    mark([(start, start + rules.trim_frames)] if start > 0 else [], trim)
    mark([(end - rules.trim_frames, end)] if end < last else [], trim)
    return verdicts


def _written(start: int, end: int, rules: Rules, writing: Sequence[Writing]) -> Iterator[tuple[Writing, str]]:
    """Yield what is written too large in a shot; between the first and the last of many, credits run on."""
    inside = [entry for entry in writing if start <= entry.start and entry.end <= end]
    large = [entry for entry in inside if entry.boxes >= rules.text_boxes or entry.area >= rules.text_area]
    if len(large) < CREDITS_SAMPLES:
        yield from ((entry, "text") for entry in large)
        return
    whole = Writing(
        large[0].start, large[-1].end, max(entry.boxes for entry in large), max(entry.area for entry in large)
    )
    yield whole, "credits"


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
