"""Put a person's corrections on top of the captions; one that no longer fits is an error, never lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.captions import MOST_CLIPS_OF_ONE_TEXT, caption_problems, text_hash
from reelgraph.text.ranges import frames


@dataclass(frozen=True)
class Inputs:
    """Directories with captions.json, clips.json and bible.json, and the corrections as people write them."""

    captions: Path
    clips: Path
    bible: Path
    overrides: Path


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
    """Return how messages call an override: as the person named its clip."""
    return f"override for {'clip ' + override['clip'] if 'clip' in override else frames(override)} by {override['by']}"


def caption_of(override: Mapping[str, Any], captions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the caption that the override is for, by clip id or by the clip's exact frames, or raise a StageError."""
    fields = ("clip",) if "clip" in override else ("start", "end")
    match = next((caption for caption in captions if all(caption[field] == override[field] for field in fields)), None)
    if match is None:
        raise StageError(
            f'{name_of(override)}: there is no such clip; find the clip that now shows "{override["text"]}"'
        )
    if override["replaces"] != (present := text_hash(match["text"])):
        raise StageError(
            f"{name_of(override)}: replaces {override['replaces']}, but the caption of clip {match['clip']} is now "
            f'{present}: "{match["text"]}"; read it, then set "replaces" to its hash or remove the override '
            f'"{override["text"]}"'
        )
    return match


def apply_overrides(
    captions: Sequence[Mapping[str, Any]], overrides: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the captions with every override in its place, or raise a StageError that names the override."""
    texts: dict[str, str] = {}
    for override in overrides:
        caption = caption_of(override, captions)
        if caption["clip"] in texts:
            raise StageError(f"{name_of(override)}: clip {caption['clip']} has another override; keep one of the two")
        texts[caption["clip"]] = override["text"]
    return [
        {**caption, "text": texts[caption["clip"]], "source": "override"} if caption["clip"] in texts else dict(caption)
        for caption in captions
    ]


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write captions.json in the order of the clips."""
    captions = read_json(inputs.captions / "captions.json")["captions"]
    overrides = read_json(inputs.overrides)
    validate(overrides, "overrides", inputs.overrides.name)
    check_clips(captions, read_json(inputs.clips / "clips.json")["clips"])
    reviewed = apply_overrides(captions, overrides)
    bible = read_json(inputs.bible / "bible.json")
    uses = Counter(caption["text"] for caption in reviewed)
    for override in overrides:
        problems = caption_problems(override["text"], bible, parameters.minimum_words, parameters.maximum_words)
        if uses[override["text"]] > MOST_CLIPS_OF_ONE_TEXT:
            problems.append(
                f"is the text of {uses[override['text']]} clips, at most {MOST_CLIPS_OF_ONE_TEXT} may share one"
            )
        if problems:
            raise StageError(f"{name_of(override)}: {'; '.join(problems)}")
    write_json(out / "captions.json", {"captions": reviewed})


STAGE = Stage(name="reviewed", inputs=Inputs, parameters=Parameters, outputs={"captions.json": "captions"}, run=run)

if __name__ == "__main__":
    STAGE.main()
