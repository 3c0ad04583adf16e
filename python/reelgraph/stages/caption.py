"""Give every clip the hand-written label of its frames, checked against bible and scene."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.captions import MOST_CLIPS_OF_ONE_TEXT, caption_problems
from reelgraph.text.names import characters_in
from reelgraph.text.ranges import contains, first_overlap, frames, is_covered, shared_frames


@dataclass(frozen=True)
class Inputs:
    """Directories with clips.json, scene-context.json and bible.json, and the labels as people write them."""

    clips: Path
    scene_context: Path
    bible: Path
    labels: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/caption.parameters.json."""

    minimum_words: int
    maximum_words: int


def label_of(clip: Mapping[str, Any], labels: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the label whose range contains the clip, or raise a StageError that names the clip."""
    if label := next((label for label in labels if contains(label, clip)), None):
        return label
    cut = [frames(label) for label in labels if shared_frames(label, clip)]
    why = f"the label of {cut[0]} covers only a part of it" if cut else "none covers any of it"
    raise StageError(
        f"clip {clip['id']} ({frames(clip)}): has no label, {why}; write a label whose frames contain the clip"
    )


def check_labels(
    labels: Sequence[Mapping[str, Any]], clips: Sequence[Mapping[str, Any]], rejects: Sequence[Mapping[str, Any]]
) -> None:
    """Raise a StageError for labels that overlap, hold no frame, or hold no clip where frames were not rejected."""
    if empty := next((label for label in labels if label["start"] >= label["end"]), None):
        raise StageError(f"label of {frames(empty)}: holds no frame; its end must lie after its start")
    if overlap := first_overlap(labels):
        raise StageError(f"labels of {frames(overlap[0])} and {frames(overlap[1])} overlap; a frame may have one label")
    for label in labels:
        if not any(contains(label, clip) for clip in clips) and not is_covered(label, rejects):
            raise StageError(
                f"label of {frames(label)}: no clip lies in it and its frames were not rejected; "
                "its caption would be lost, so mend its frames or remove it"
            )


def check_repeats(labels: Sequence[Mapping[str, Any]], clips: Sequence[Mapping[str, Any]]) -> None:
    """Raise a StageError for a text that several labels give to more than two clips."""
    same = defaultdict(list)
    for label in labels:
        same[label["training_caption"]].append(label)
    for text, repeated in same.items():
        labelled = [clip for clip in clips if any(contains(label, clip) for label in repeated)]
        if len(repeated) > 1 and len(labelled) > MOST_CLIPS_OF_ONE_TEXT:
            raise StageError(
                f"labels of {' and '.join(map(frames, repeated))}: give one text to {len(labelled)} clips "
                f'("{text[:60]}"), at most {MOST_CLIPS_OF_ONE_TEXT} may share one; say what differs'
            )


def check_characters(caption: Mapping[str, Any], scenes: Sequence[Mapping[str, Any]], bible: Mapping[str, Any]) -> None:
    """Raise a StageError where a caption shows a character whom no scene of the clip's frames has."""
    present = {name for scene in scenes if shared_frames(scene, caption) for name in scene["characters"]}
    if absent := sorted(characters_in(caption["text"], bible) - present):
        raise StageError(
            f"caption of clip {caption['clip']} ({frames(caption)}): shows {absent[0]}, whom its scene does not have; "
            "the label may belong to other frames, else add the character to the scene"
        )


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write captions.json, one caption a clip in the order of the clips."""
    episode = read_json(inputs.clips / "clips.json")
    scenes = read_json(inputs.scene_context / "scene-context.json")["scenes"]
    bible = read_json(inputs.bible / "bible.json")
    labels = read_json(inputs.labels)
    validate(labels, "labels", inputs.labels.name)
    captions = []
    for clip in episode["clips"]:
        text = label_of(clip, labels)["training_caption"]
        caption = {
            "clip": clip["id"],
            "start": clip["start"],
            "end": clip["end"],
            "text": text,
            "source": "training_caption",
        }
        if problems := caption_problems(text, bible, parameters.minimum_words, parameters.maximum_words):
            raise StageError(f"caption of clip {clip['id']} ({frames(clip)}): {'; '.join(problems)}")
        check_characters(caption, scenes, bible)
        captions.append(caption)
    check_labels(labels, episode["clips"], episode["rejects"])
    check_repeats(labels, episode["clips"])
    write_json(out / "captions.json", {"captions": captions})


STAGE = Stage(name="caption", inputs=Inputs, parameters=Parameters, outputs={"captions.json": "captions"}, run=run)

if __name__ == "__main__":
    STAGE.main()
