"""An episode as the page shows it: every clip with caption and lines, every other frame with why it was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json


@dataclass(frozen=True)
class Clip:
    """A clip: half-open frames ``start`` to ``end`` of the episode, its picture, caption (None for none) and lines."""

    id: str
    start: int
    end: int
    shot: int
    picture: Path
    caption: str | None
    source: str | None
    lines: Sequence[str]


@dataclass(frozen=True)
class Episode:
    """What the stages up to the reviewed captions made of a master; ``master`` is its probe.json."""

    name: str
    master: Mapping[str, Any]
    fps: float
    frames: int
    shots: Sequence[Mapping[str, Any]]
    lines: Sequence[Mapping[str, Any]]
    dropped: Sequence[Mapping[str, Any]]
    clips: Sequence[Clip]
    rejects: Sequence[Mapping[str, Any]]

    @property
    def kept(self) -> int:
        """Return how many frames lie in clips."""
        return sum(clip.end - clip.start for clip in self.clips)

    def time_code(self, frame: int) -> str:
        """Return when a frame is shown as ``m:ss.mmm``, with hours where there are any."""
        seconds, milliseconds = divmod(round(frame * 1000 / self.fps), 1000)
        minutes, seconds = divmod(seconds, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{f'{hours}:{minutes:02}' if hours else minutes}:{seconds:02}.{milliseconds:03}"


@dataclass(frozen=True)
class Rejects:
    """All ranges that one rule left out, each with its episode."""

    rule: str
    ranges: Sequence[tuple[Episode, Mapping[str, Any]]]

    @property
    def frames(self) -> int:
        """Return how many frames the rule left out."""
        return sum(entry["end"] - entry["start"] for _, entry in self.ranges)

    def spread(self, field: str) -> list[float]:
        """Return the smallest and the largest ``value`` or ``threshold``, or the only one."""
        values = {entry[field] for _, entry in self.ranges}
        return sorted({min(values), max(values)})


def spoken_lines(lines: Sequence[Mapping[str, Any]], start: float, end: float) -> Iterator[str]:
    """Yield what is said from ``start`` to before ``end`` seconds; a word counts where its middle is.

    An ellipsis stands where a line goes on outside.
    """
    for line in lines:
        words = line["words"]
        inside = [start <= (word["start"] + word["end"]) / 2 < end for word in words]
        if any(inside):
            text = "".join(word["text"] for word, kept in zip(words, inside, strict=True) if kept).strip()
            yield f"{'' if inside[0] else '… '}{text}{'' if inside[-1] else ' …'}"


def read_episode(name: str, source: Path, shots: Path, clips: Path, transcript: Path, captions: Path) -> Episode:
    """Join the outputs of an episode's stages; a caption without clip or frames not accounted for are a StageError."""
    cut, shot_list = read_json(clips / "clips.json"), read_json(shots / "shots.json")
    spoken = read_json(transcript / "transcript.json")
    texts = {caption["clip"]: caption for caption in read_json(captions / "captions.json")["captions"]}
    if unknown := sorted(set(texts) - {clip["id"] for clip in cut["clips"]}):
        raise StageError(
            f"{name}: caption for clip '{unknown[0]}': there is no such clip; build the captions again from these clips"
        )
    accounted = sum(entry["end"] - entry["start"] for entry in [*cut["clips"], *cut["rejects"]])
    if accounted != shot_list["frames"]:
        raise StageError(
            f"{name}: clips and rejects have {accounted} frames, the episode has {shot_list['frames']}; cut it again"
        )
    fps = shot_list["fps"]
    return Episode(
        name=name,
        master=read_json(source / "probe.json"),
        fps=fps,
        frames=shot_list["frames"],
        shots=shot_list["shots"],
        lines=spoken["segments"],
        dropped=spoken["dropped"],
        clips=[
            Clip(
                id=clip["id"],
                start=clip["start"],
                end=clip["end"],
                shot=clip["shot"],
                picture=clips / clip["first_frame"],
                caption=texts.get(clip["id"], {}).get("text"),
                source=texts.get(clip["id"], {}).get("source"),
                lines=list(spoken_lines(spoken["segments"], clip["start"] / fps, clip["end"] / fps)),
            )
            for clip in cut["clips"]
        ],
        rejects=cut["rejects"],
    )


def read_episodes(
    source: Mapping[str, Path],
    shots: Mapping[str, Path],
    clips: Mapping[str, Path],
    transcript: Mapping[str, Path],
    captions: Mapping[str, Path],
) -> list[Episode]:
    """Read all episodes in the order of their names, or raise a StageError that names one with a part missing."""
    parts = {"source": source, "shots": shots, "clips": clips, "transcript": transcript, "captions": captions}
    names = sorted(set().union(*parts.values()))
    for name in names:
        if lacking := next((part for part, outputs in parts.items() if name not in outputs), None):
            raise StageError(f"episode '{name}' has no {lacking}; give {', '.join(parts)} for each episode")
    return [read_episode(name, *(outputs[name] for outputs in parts.values())) for name in names]


def caption_sources(episodes: Sequence[Episode]) -> list[tuple[str, int]]:
    """Return how many captions come from where, most first."""
    return Counter(clip.source for episode in episodes for clip in episode.clips if clip.source).most_common()


def rejects_by_rule(episodes: Sequence[Episode]) -> list[Rejects]:
    """Return the rejects of all episodes by rule, in the order of the rules' names."""
    ranges: dict[str, list[tuple[Episode, Mapping[str, Any]]]] = {}
    for episode in episodes:
        for entry in episode.rejects:
            ranges.setdefault(entry["rule"], []).append((episode, entry))
    return [Rejects(rule, entries) for rule, entries in sorted(ranges.items())]
