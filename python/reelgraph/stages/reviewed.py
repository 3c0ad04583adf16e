"""Put people's corrections on top of the captions; one that no longer fits is an error, never lost.

A correction names its clip by content: the master's SHA-256 and the clip's frames. So it survives renamed episodes,
other clip ids and a caption model's next version, and it never lands on other pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.captions import MOST_CLIPS_OF_ONE_TEXT, caption_problems, text_hash
from reelgraph.text.ranges import frames
from reelgraph.text.yaml import read_yaml


@dataclass(frozen=True)
class Inputs:
    """Directories with probe.json, captions.json, clips.json and bible.json; the corrections as people write them."""

    source: Path
    captions: Path
    clips: Path
    bible: Path
    overrides: Path | None


@dataclass(frozen=True)
class Parameters:
    """See schemas/reviewed.parameters.json."""

    minimum_words: int
    maximum_words: int


def check_clips(captions: Sequence[Mapping[str, Any]], clips: Sequence[Mapping[str, Any]]) -> None:
    """Raise a StageError unless there is exactly one caption for each clip, with the clip's frames."""
    known = {clip["id"]: (clip["start"], clip["end"]) for clip in clips}
    for caption in captions:
        if caption["clip"] not in known:
            raise StageError(
                f"caption of clip {caption['clip']} ({frames(caption)}): there is no such clip; rebuild captions"
            )
        if (caption["start"], caption["end"]) != known.pop(caption["clip"]):
            raise StageError(
                f"caption of clip {caption['clip']}: is for {frames(caption)}, not the clip's; rebuild captions"
            )
    if known:
        raise StageError(f"clip {next(iter(known))}: has no caption; rebuild captions")


def name_of(override: Mapping[str, Any]) -> str:
    """Return how messages call an override."""
    return f"override for {frames(override)} by {override['by']}"


def caption_of(override: Mapping[str, Any], captions: Sequence[Mapping[str, Any]], master: str) -> Mapping[str, Any]:
    """Return the caption that the override is for, or raise a StageError that shows what it says and what there is."""
    if override["source"] != master:
        raise StageError(
            f"{name_of(override)}: is for the master {override['source']}, but this episode's is {master}; find the "
            f'frames in the new master and set both, or remove the override "{override["text"]}"'
        )
    match = next((one for one in captions if (one["start"], one["end"]) == (override["start"], override["end"])), None)
    if match is None:
        near = [one for one in captions if one["start"] < override["end"] and override["start"] < one["end"]]
        there = "; ".join(f'{frames(one)} have "{one["text"]}"' for one in near) or "no clip shows any of them"
        raise StageError(
            f"{name_of(override)}: there is no clip of these frames ({there}); move or remove the override "
            f'"{override["text"]}"'
        )
    if override["replaces"] != (present := text_hash(match["text"])):
        raise StageError(
            f"{name_of(override)}: replaces {override['replaces']}, but the caption of clip {match['clip']} is now "
            f'{present}: "{match["text"]}"; read it, then set "replaces" to its hash or remove the override '
            f'"{override["text"]}"'
        )
    return match


def apply_overrides(
    captions: Sequence[Mapping[str, Any]], overrides: Sequence[Mapping[str, Any]], master: str
) -> list[dict[str, Any]]:
    """Return the captions with every override in its place, or raise a StageError that names the override."""
    texts: dict[str, str] = {}
    for override in overrides:
        caption = caption_of(override, captions, master)
        if caption["clip"] in texts:
            raise StageError(
                f'{name_of(override)}: clip {caption["clip"]} has two overrides, "{texts[caption["clip"]]}" and '
                f'"{override["text"]}"; keep one of the two'
            )
        texts[caption["clip"]] = override["text"]
    return [
        {**caption, "text": texts[caption["clip"]], "source": "override"} if caption["clip"] in texts else dict(caption)
        for caption in captions
    ]


def check_overrides(
    overrides: Sequence[Mapping[str, Any]],
    reviewed: Sequence[Mapping[str, Any]],
    bible: Mapping[str, Any],
    parameters: Parameters,
) -> None:
    """Raise a StageError for an override that breaks a rule of captions or is the text of too many clips."""
    texts = [caption["text"] for caption in reviewed]
    for override in overrides:
        problems = caption_problems(override["text"], bible, parameters.minimum_words, parameters.maximum_words)
        if (uses := texts.count(override["text"])) > MOST_CLIPS_OF_ONE_TEXT:
            problems.append(f"is the text of {uses} clips, at most {MOST_CLIPS_OF_ONE_TEXT} may share one")
        if problems:
            raise StageError(f"{name_of(override)}: {'; '.join(problems)}")


def check_written(captions: Sequence[Mapping[str, Any]]) -> None:
    """Raise a StageError that lists the clips which still need a person."""
    if missing := [caption["clip"] for caption in captions if caption["source"] == "needs-person"]:
        raise StageError(
            f"{len(missing)} of {len(captions)} clips have no caption and need a person: {', '.join(missing)}; "
            "write them with: reel review EPISODE"
        )


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write captions.json in the order of the clips."""
    captions = read_json(inputs.captions / "captions.json")["captions"]
    overrides = (read_yaml(inputs.overrides) or []) if inputs.overrides else []
    validate(overrides, "overrides", inputs.overrides.name if inputs.overrides else "overrides")
    check_clips(captions, read_json(inputs.clips / "clips.json")["clips"])
    master = f"sha256:{read_json(inputs.source / 'probe.json')['sha256']}"
    reviewed = apply_overrides(captions, overrides, master)
    check_overrides(overrides, reviewed, read_json(inputs.bible / "bible.json"), parameters)
    check_written(reviewed)
    write_json(out / "captions.json", {"captions": reviewed})


STAGE = Stage(name="reviewed", inputs=Inputs, parameters=Parameters, outputs={"captions.json": "captions"}, run=run)

if __name__ == "__main__":
    STAGE.main()
