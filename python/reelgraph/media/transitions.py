"""From one shot to the next: cuts, and the slower changes that are no cuts, told apart by how the picture changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

NEAR_FRAMES = 2  # two detectors' votes for one cut lie no further apart
REACH_FRAMES = 4  # a cut is over within so many frames on each side
SHARP_SHARE = 0.3  # of the change around a cut happens in one frame; of a fade's or dissolve's, below 0.2
STEP_SHARE = 0.25  # of the largest step: a smaller one is movement in the shot, not a part of the cut
FLASH_FRAMES = 4  # the longest flash
RAMP_FRAMES = 96  # the longest fade looked for on each side of black
FADE_FRAMES = 4  # the shortest
DISSOLVE_FRAMES = 5  # the shortest run of the network's votes for a slow change
HOLE_LUMA = 60  # mean grey that the middle of an iris shows at least
BLEND_SHARE = 0.35  # a dissolve's middle is the mean of its ends but for this share of their difference


@dataclass(frozen=True)
class Votes:
    """A detector's vote for a cut at ``frame``, with its score."""

    frame: int
    score: float


@dataclass(frozen=True)
class Transition:
    """How the picture changes over frames ``start`` to before ``end``: none for a plain cut.

    ``frame`` starts the new shot; None where no shot starts, as in a flash. ``adaptive`` and ``network`` say who voted
    for a cut there.
    """

    frame: int | None
    start: int
    end: int
    kind: str
    adaptive: bool
    network: bool


class Pictures:
    """Thumbnails of all frames, grey [frames, rows, columns], and how far they differ."""

    def __init__(self, thumbnails: np.ndarray) -> None:
        self._grey = thumbnails
        self.frames = len(thumbnails)

    def difference(self, first: int, second: int) -> float:
        """Return the mean absolute difference of two frames, 0 to 255; frames outside are the outermost ones."""
        last = self.frames - 1
        pair = (self._grey[min(max(frame, 0), last)].astype(np.int16) for frame in (first, second))
        return float(np.abs(np.subtract(*pair)).mean())

    def step(self, frame: int) -> float:
        """Return the difference of a frame to the one before."""
        return self.difference(frame - 1, frame)

    def is_sharp(self, cut: int) -> bool:
        """Whether most of the change around ``cut`` happens at once."""
        largest = max(self.step(frame) for frame in range(cut - NEAR_FRAMES, cut + NEAR_FRAMES + 1))
        return largest >= SHARP_SHARE * self.difference(cut - REACH_FRAMES, cut + REACH_FRAMES - 1)

    def extent(self, cut: int) -> tuple[int, int]:
        """Return the frames around a cut that show both shots, half-open: ``cut`` to ``cut`` where none do."""
        steps = {frame: self.step(frame) for frame in range(cut - REACH_FRAMES, cut + REACH_FRAMES + 1)}
        large = STEP_SHARE * max(steps.values())
        start = end = cut
        while steps.get(start - 1, 0.0) > large:
            start -= 1
        while steps.get(end + 1, 0.0) > large:
            end += 1
        return max(start, 0), min(end, self.frames)

    def returns(self, cut: int) -> int | None:
        """Return the frame soon after ``cut`` that shows again what was there before it, or None."""
        back = range(cut + 1, min(cut + FLASH_FRAMES, self.frames - 1) + 1)
        return next((frame for frame in back if self.difference(cut - 1, frame) < STEP_SHARE * self.step(cut)), None)

    def is_blend(self, start: int, end: int) -> bool:
        """Whether the frame between ``start`` and ``end`` is the mean of both."""
        first, middle, last = (self._grey[frame].astype(np.float32) for frame in (start, (start + end) // 2, end))
        whole = float(np.abs(first - last).mean())
        return whole > 0 and float(np.abs(middle - (first + last) / 2).mean()) < BLEND_SHARE * whole

    def is_hole(self, frame: int, black: float) -> bool:
        """Whether the corners are black and the middle is bright: a picture seen through an iris."""
        grey = self._grey[frame]
        rows, columns = grey.shape[0] // 3, grey.shape[1] // 3
        corners = grey[[0, 0, -1, -1], [0, -1, 0, -1]]
        return bool(corners.max() < black and grey[rows:-rows, columns:-columns].mean() > HOLE_LUMA)


def runs(flags: Iterable[bool]) -> Iterator[tuple[int, int]]:
    """Yield the half-open ranges in which ``flags`` hold."""
    position = 0
    for flag, group in groupby(flags):
        length = len(list(group))
        if flag:
            yield position, position + length
        position += length


def network_votes(probabilities: Sequence[float], threshold: float) -> list[Votes]:
    """Return the cuts that a network voted for, which marks the last frame before each."""
    found = []
    for start, end in runs(probability > threshold for probability in probabilities):
        best = max(range(start, end), key=probabilities.__getitem__)
        if best + 1 < len(probabilities):
            found.append(Votes(best + 1, probabilities[best]))
    return found


def fades(pictures: Pictures, luma: Sequence[float], black: float) -> Iterator[Transition]:
    """Yield every slow change to or from black, or both, as one transition whose shot starts amid the black."""
    for first, last in runs(value < black for value in luma):
        start, holes_before = _ramp(pictures, luma, black, first, -1)
        end, holes_after = _ramp(pictures, luma, black, last - 1, 1)
        end += 1
        into, out = first - start >= FADE_FRAMES, end - last >= FADE_FRAMES
        if into or out:
            kind = "iris" if max(holes_before, holes_after) >= FADE_FRAMES else "fade"
            inside = first > 0 and last < len(luma)
            start, end = start if into else first, end if out else last
            yield Transition((first + last) // 2 if inside else None, start, end, kind, False, False)


def _ramp(pictures: Pictures, luma: Sequence[float], black: float, edge: int, way: int) -> tuple[int, int]:
    """Return the last frame of a change that runs ``way`` from black frame ``edge``, and how many show an iris."""
    frame, holes = edge, 0
    while 0 <= frame + way < len(luma) and abs(frame - edge) < RAMP_FRAMES:
        hole = pictures.is_hole(frame + way, black)
        if not hole and luma[frame + way] <= luma[frame]:
            break
        holes += hole
        frame += way
    return frame, holes


def merge(adaptive: Sequence[int], network: Sequence[Votes]) -> list[tuple[int, bool, bool]]:
    """Return every frame that one of both votes for, with both votes; the adaptive one's frame is exact."""
    found = [(cut, True, any(abs(vote.frame - cut) <= NEAR_FRAMES for vote in network)) for cut in adaptive]
    alone = [vote.frame for vote in network if all(abs(vote.frame - cut) > NEAR_FRAMES for cut in adaptive)]
    return sorted([*found, *((frame, False, True) for frame in alone)])


def transitions(
    pictures: Pictures,
    luma: Sequence[float],
    black: float,
    adaptive: Sequence[int],
    network: Sequence[Votes] = (),
    slow: Sequence[tuple[int, int]] = (),
) -> list[Transition]:
    """Return every transition in order; ``slow`` are the ranges of slow changes that the network voted for."""
    votes, dark = merge(adaptive, network), list(fades(pictures, luma, black))
    slow = [(start, end) for start, end in slow if end - start >= DISSOLVE_FRAMES]

    def is_cut(vote: tuple[int, bool, bool]) -> bool:
        # The network alone, where it says itself that the change is a slow one, means no cut.
        alone = not vote[1] and any(start <= vote[0] <= end for start, end in slow)
        return not alone and pictures.is_sharp(vote[0])

    sharp = [vote for vote in votes if is_cut(vote)]
    found: list[Transition] = []
    flashed = -1
    for cut, by_adaptive, by_network in sharp:
        if cut <= flashed:
            continue
        back = pictures.returns(cut)
        if back is not None:
            flashed = back
            found.append(Transition(None, cut, back, "flash", by_adaptive, by_network))
        else:
            found.append(Transition(cut, *pictures.extent(cut), "cut", by_adaptive, by_network))
    cuts = [transition.frame for transition in found if transition.frame is not None]
    for fade in dark:
        inside = [vote for vote in votes if fade.start <= vote[0] <= fade.end]
        seen = any(vote[1] for vote in inside), any(vote[2] for vote in inside)
        beside = any(fade.start <= cut <= fade.end for cut in cuts)
        found.append(Transition(None if beside else fade.frame, fade.start, fade.end, fade.kind, *seen))
    taken = [(transition.start - NEAR_FRAMES, transition.end + NEAR_FRAMES) for transition in found]
    left = [vote for vote in votes if vote not in sharp]
    ranges = list(slow)
    ranges += [
        (max(cut - REACH_FRAMES, 0), min(cut + REACH_FRAMES, pictures.frames - 1))
        for cut, _, _ in left
        if not any(start - NEAR_FRAMES <= cut <= end + NEAR_FRAMES for start, end in ranges)
    ]
    for start, end in sorted(ranges):
        if any(start <= other_end and other_start <= end for other_start, other_end in taken):
            continue
        inside = [vote for vote in left if start - NEAR_FRAMES <= vote[0] <= end + NEAR_FRAMES]
        kind = "dissolve" if pictures.is_blend(start, min(end, pictures.frames - 1)) else "other"
        seen = any(vote[1] for vote in inside), any(vote[2] for vote in inside) or (start, end) in slow
        taken.append((start, end))
        found.append(Transition((start + end) // 2 or None, start, end, kind, *seen))
    return sorted(found, key=lambda transition: (transition.start, transition.end))
