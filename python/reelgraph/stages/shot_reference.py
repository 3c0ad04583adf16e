"""Join shots and transcript: every word in the shot that holds its midpoint, lines over a cut split and marked.

Each line has its speaker where a person has said who speaks when, and each shot what is said before and after it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.yaml import read_yaml


@dataclass(frozen=True)
class Inputs:
    """Directories with shots.json and with transcript.json of one episode, and who speaks when, a YAML file."""

    shots: Path
    transcript: Path
    speakers: Path | None


@dataclass(frozen=True)
class Parameters:
    """None."""


def shot_of(word: Mapping[str, Any], starts: Sequence[float]) -> int:
    """Return the number of the shot that holds the midpoint of ``word``; ``starts`` are seconds, in order.

    Sound may begin before the picture or end after it: such a word counts to the first or the last shot.
    """
    return max(0, bisect_right(starts, (word["start"] + word["end"]) / 2) - 1)


def split_line(
    segment: Mapping[str, Any], starts: Sequence[float], speakers: Sequence[Mapping[str, Any]] = ()
) -> list[tuple[int, dict[str, Any]]]:
    """Return the parts of a transcript segment as (shot, line), one for each run of one speaker's words in a shot."""
    words = [
        {**word, "crosses_cut": any(word["start"] < cut < word["end"] for cut in starts[1:])}
        for word in segment["words"]
    ]
    places = [
        (shot_of(word, starts), speaker) for word, speaker in zip(words, speakers_of(segment, speakers), strict=True)
    ]
    parts = [
        (place, [word for word, _ in group])
        for place, group in groupby(zip(words, places, strict=True), key=lambda pair: pair[1])
    ]
    is_cut = len({shot for shot, _ in places}) > 1
    return [
        (
            shot,
            {
                "start": part[0]["start"],
                "end": part[-1]["end"],
                "text": "".join(word["text"] for word in part).strip(),
                "words": part,
                "crosses_cut": is_cut or any(word["crosses_cut"] for word in part),
                "speaker": speaker,
            },
        )
        for (shot, speaker), part in parts
    ]


def check_speakers(speakers: Sequence[Mapping[str, Any]]) -> None:
    """Raise a StageError for stretches that are empty or share a moment."""
    for stretch in speakers:
        if stretch["start"] >= stretch["end"]:
            raise StageError(
                f"speakers: {stretch['speaker']} at {stretch['start']} s: its end must lie after its start"
            )
    ordered = sorted(speakers, key=lambda stretch: stretch["start"])
    for before, after in pairwise(ordered):
        if after["start"] < before["end"]:
            raise StageError(
                f"speakers: {before['speaker']} speaks until {before['end']} s, but {after['speaker']} from "
                f"{after['start']} s; one line has one speaker, so mend the times"
            )


def speaker_of(said: Mapping[str, Any], speakers: Sequence[Mapping[str, Any]]) -> str | None:
    """Return who speaks at the middle of a line or word, or None where nobody has said."""
    middle = (said["start"] + said["end"]) / 2
    return next((entry["speaker"] for entry in speakers if entry["start"] <= middle < entry["end"]), None)


def speakers_of(segment: Mapping[str, Any], speakers: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return who speaks each word: whoever speaks at the middle of all, unless there are words of several people.

    Then a word that is nobody's is that of the one before it.
    """
    named = [speaker_of(word, speakers) for word in segment["words"]]
    if len({*named} - {None}) < 2:
        return [speaker_of(segment, speakers)] * len(named)
    latest = next(filter(None, named))
    return [latest := name or latest for name in named]


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write shot-reference.json."""
    cut_list = read_json(inputs.shots / "shots.json")
    if not cut_list["shots"]:
        raise StageError("shots.json: holds no shots, so no line has a place; look at the shots stage's parameters")
    speakers = read_yaml(inputs.speakers) if inputs.speakers else []
    validate(speakers, "speakers", inputs.speakers.name if inputs.speakers else "speakers")
    check_speakers(speakers)
    fps = Fraction(str(cut_list["fps"]))
    shots: list[dict[str, Any]] = [
        {"shot": number, "start": shot["start"], "end": shot["end"], "lines": []}
        for number, shot in enumerate(cut_list["shots"])
    ]
    starts = [float(shot["start"] / fps) for shot in shots]
    for segment in read_json(inputs.transcript / "transcript.json")["segments"]:
        for shot, line in split_line(segment, starts, speakers):
            shots[shot]["lines"].append(line)
    said = ["", *(" ".join(line["text"] for line in shot["lines"]) for shot in shots), ""]
    for shot, before, after in zip(shots, said, said[2:], strict=False):
        shot.update(before=before, after=after)
    write_json(out / "shot-reference.json", {"shots": shots})


STAGE = Stage(
    name="shot-reference",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"shot-reference.json": "shot-reference"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
