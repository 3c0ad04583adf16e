"""What differs between two results."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reelgraph.audit.differences import json_differences
from reelgraph.audit.tensors import TensorComparison, compare_tensors
from reelgraph.compare.result import Clip, Result

SAME, GONE, NEW = "same", "gone", "new"


@dataclass(frozen=True)
class ClipChanges:
    """Clips that only one result has; pairs (before, after) of those cut anew and of those with the same frames of
    another
    master; and those with other pictures."""

    added: Sequence[Clip]
    removed: Sequence[Clip]
    recut: Sequence[tuple[Clip, Clip]]
    remastered: Sequence[tuple[Clip, Clip]]
    redrawn: Sequence[Clip]

    @property
    def pairs(self) -> list[tuple[Clip, Clip]]:
        """Clips that stand for each other under different ids."""
        return [*self.recut, *self.remastered]


@dataclass(frozen=True)
class CaptionChange:
    """A caption that differs: its words in order, each ``same``, ``gone`` or ``new``."""

    clip: str
    words: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Comparison:
    """Everything that differs, and what both results have to compare."""

    first: Result
    second: Result
    clips: ClipChanges
    captions: Sequence[CaptionChange]
    parameters: Sequence[tuple[str, Any, Any]]
    weights: TensorComparison | None
    samples: Sequence[str]

    @property
    def is_same(self) -> bool:
        """Whether nothing differs."""
        clips = self.clips
        losses = (self.first.losses, self.second.losses)
        changed = [
            *clips.added,
            *clips.removed,
            *clips.pairs,
            *clips.redrawn,
            *self.captions,
            *self.parameters,
            *self.samples,
        ]
        return not changed and self.weights is None and (None in losses or losses[0] == losses[1])


def compare(first: Result, second: Result) -> Comparison:
    """Compare what both results have."""
    both = first.parts & second.parts
    clips = compare_clips(first, second) if "clips" in both else ClipChanges((), (), (), (), ())
    weights = None
    if first.weights and second.weights and first.weights.read_bytes() != second.weights.read_bytes():
        weights = compare_tensors(first.weights, second.weights)
    return Comparison(
        first=first,
        second=second,
        clips=clips,
        captions=compare_captions(first, second, clips) if "captions" in both else (),
        parameters=list(json_differences(first.parameters, second.parameters)) if "parameters" in both else (),
        weights=weights,
        samples=compare_samples(first, second) if "samples" in both else (),
    )


def compare_clips(first: Result, second: Result) -> ClipChanges:
    """Match clips by id, then what is left by the frames that they share: the pair with most in common first."""
    removed = {name: clip for name, clip in first.clips.items() if name not in second.clips}
    added = {name: clip for name, clip in second.clips.items() if name not in first.clips}
    by_episode: dict[str, list[Clip]] = {}
    for clip in added.values():
        by_episode.setdefault(clip.episode, []).append(clip)
    pairs = [
        (shared, old, new)
        for old in removed.values()
        for new in by_episode.get(old.episode, [])
        if (shared := _shared(old, new))
    ]
    matched = []
    for _, old, new in sorted(pairs, key=lambda pair: (-pair[0], pair[1].name, pair[2].name)):
        if old.name in removed and new.name in added:
            matched.append((removed.pop(old.name), added.pop(new.name)))
    matched.sort(key=lambda pair: pair[0].name)
    same_frames = [pair for pair in matched if (pair[0].start, pair[0].end) == (pair[1].start, pair[1].end)]
    redrawn = [
        clip
        for name, clip in first.clips.items()
        if name in second.clips and clip.video and second.clips[name].video and clip.video != second.clips[name].video
    ]
    recut = [pair for pair in matched if pair not in same_frames]
    return ClipChanges(list(added.values()), list(removed.values()), recut, same_frames, redrawn)


def compare_captions(first: Result, second: Result, clips: ClipChanges) -> list[CaptionChange]:
    """Return the captions that differ, a clip that was cut anew counting as the same clip."""
    pairs = [(name, name) for name in first.captions if name in second.captions]
    pairs += [(old.name, new.name) for old, new in clips.pairs]
    return [
        CaptionChange(new, word_changes(first.captions[old], second.captions[new]))
        for old, new in pairs
        if first.captions[old] != second.captions[new]
    ]


def word_changes(was: str, now: str) -> list[tuple[str, str]]:
    """Return the words of two texts in order, ``same``, ``gone`` or ``new``; neighbours of a kind are one entry."""
    old, new = was.split(), now.split()
    changes: list[tuple[str, str]] = []
    for kind, first, last, begin, end in difflib.SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes():
        if kind == "equal":
            changes.append((SAME, " ".join(old[first:last])))
            continue
        if last > first:
            changes.append((GONE, " ".join(old[first:last])))
        if end > begin:
            changes.append((NEW, " ".join(new[begin:end])))
    return changes


def compare_samples(first: Result, second: Result) -> list[str]:
    """Return the names of the samples that differ or that only one result has."""
    names = sorted({*first.samples, *second.samples})
    return [
        name
        for name in names
        if name not in first.samples
        or name not in second.samples
        or first.samples[name].read_bytes() != second.samples[name].read_bytes()
    ]


def _shared(old: Clip, new: Clip) -> int:
    if None in (old.start, old.end, new.start, new.end):
        return 0
    return max(0, min(old.end, new.end) - max(old.start, new.start))
