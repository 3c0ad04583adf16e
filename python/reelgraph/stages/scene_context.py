"""Group an episode's shots into scenes: who is there, where, what happens, what so far, and what is said.

A person says so in a YAML file. Without one, shots that lie near each other in time and whose pictures have the same
colours are one scene, and whoever the episode can show may be in it. Its place is what people's labels name, if any do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.names import WHO, characters_in, unknown_names
from reelgraph.text.ranges import frames, shared_frames
from reelgraph.text.yaml import read_yaml
from reelgraph.words.pictures import colours
from reelgraph.words.scenes import scenes_by_picture


@dataclass(frozen=True)
class Inputs:
    """Directories with the JSON files of these names and of the bible; the scenes as people write them."""

    shot_reference: Path
    bible: Path
    scenes: Path | None
    clips: Path | None
    shots: Path | None
    bootstrap: Path | None


@dataclass(frozen=True)
class Parameters:
    """See schemas/scene-context.parameters.json."""

    picture_distance: float
    lookback_seconds: float


def check_names(scenes: Sequence[Mapping[str, Any]], bible: Mapping[str, Any]) -> None:
    """Raise a StageError where a scene names a place or character that is no entry of the bible."""
    for number, scene in enumerate(scenes):
        named = [(("places",), scene["place"]), *((WHO, name) for name in scene["characters"])]
        for kinds, name in named:
            if name not in (names := [entry["name"] for kind in kinds for entry in bible[kind]]):
                raise StageError(
                    f"scene {number} ({frames(scene)}): '{name}' is not among the {kinds[0]} of the bible "
                    f"({', '.join(names)}); use one of these or add it to the bible"
                )


def check_tiling(scenes: Sequence[Mapping[str, Any]], start: int, end: int) -> None:
    """Raise a StageError unless the scenes follow each other from frame ``start`` to ``end`` without gap or overlap."""
    edges = [{"end": start}, *scenes, {"start": end}]
    for number, (before, after) in enumerate(pairwise(edges)):
        if before["end"] != after["start"]:
            what = "a gap" if before["end"] < after["start"] else "an overlap"
            where = f"before scene {number}" if number < len(scenes) else "after the last scene"
            raise StageError(
                f"scenes: {what} {where}, from frame {before['end']} to {after['start']}; "
                f"scenes must tile frames {start}-{end}"
            )
    if empty := next((scene for scene in scenes if scene["start"] >= scene["end"]), None):
        raise StageError(f"scenes: a scene of {frames(empty)} holds no frame; its end must lie after its start")


def group_shots(scenes: Sequence[Mapping[str, Any]], shots: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the scenes with the shots that have most of their frames in each; of equal scenes the earlier has it."""
    grouped: list[dict[str, Any]] = [{**scene, "shots": []} for scene in scenes]
    for shot in shots:
        max(grouped, key=lambda scene: shared_frames(scene, shot))["shots"].append(shot)
    for number, scene in enumerate(grouped):
        if not scene["shots"]:
            raise StageError(f"scene {number} ({frames(scene)}): no shot has most of its frames in it; mend its frames")
    return grouped


def check_speakers(shots: Sequence[Mapping[str, Any]], bible: Mapping[str, Any]) -> None:
    """Raise a StageError for a speaker whom the bible does not have, unless it is a plain word such as narrator."""
    for shot in shots:
        for line in shot["lines"]:
            if line["speaker"] and unknown_names(f"then {line['speaker']}", bible):
                raise StageError(
                    f"speakers: '{line['speaker']}' is not in the bible; add the character, or write a plain word in "
                    "small letters, such as narrator"
                )


def places_of(
    clips: Sequence[Mapping[str, Any]], labels: Sequence[Mapping[str, Any]], bible: Mapping[str, Any]
) -> dict[int, str]:
    """Return the place of each shot whose clips' labels name exactly one of the bible's."""
    shot_of = {clip["id"]: clip["shot"] for clip in clips}
    named: dict[int, set[str]] = {}
    for label in labels:
        named.setdefault(shot_of[label["clip"]], set()).update(characters_in(label["text"], bible, ("places",)))
    return {shot: places.pop() for shot, places in named.items() if len(places) == 1}


def guess_scenes(inputs: Inputs, parameters: Parameters, shots: Sequence[Mapping[str, Any]], bible: Any) -> Any:
    """Return the scenes that the pictures show, or raise a StageError where there are none to look at."""
    if inputs.clips is None or inputs.shots is None:
        raise StageError("scenes: neither a person's scenes nor clips and shots are given; give --input scenes=FILE")
    fps = Fraction(str(read_json(inputs.shots / "shots.json")["fps"]))
    clips = read_json(inputs.clips / "clips.json")["clips"]
    labels = read_json(inputs.bootstrap / "bootstrap.json")["labels"] if inputs.bootstrap else []
    places = places_of(clips, labels, bible)
    pictures: dict[int, np.ndarray] = {}
    for clip in clips:
        pictures.setdefault(clip["shot"], colours(inputs.clips / clip["first_frame"]))
    everybody = [entry["name"] for kind in WHO for entry in bible[kind]]
    limits = (fps, parameters.picture_distance, parameters.lookback_seconds)
    scenes = []
    for scene in scenes_by_picture(shots, pictures, places, *limits):
        inside = (shot["shot"] for shot in shots if scene["start"] <= shot["start"] < scene["end"])
        place = next((places[shot] for shot in inside if shot in places), None)
        scenes.append({**scene, "place": place, "characters": everybody, "summary": "", "grouped_by": "picture"})
    return scenes


def with_so_far(scenes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the scenes, each with the summaries of those before it."""
    summaries = [scene["summary"] for scene in scenes]
    return [{**scene, "so_far": " ".join(filter(None, summaries[:number]))} for number, scene in enumerate(scenes)]


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write scene-context.json."""
    shots = read_json(inputs.shot_reference / "shot-reference.json")["shots"]
    bible = read_json(inputs.bible / "bible.json")
    check_speakers(shots, bible)
    if inputs.scenes:
        scenes = read_yaml(inputs.scenes)
        validate(scenes, "scenes", inputs.scenes.name)
        check_names(scenes, bible)
        check_tiling(scenes, shots[0]["start"], shots[-1]["end"])
        scenes = [{**scene, "grouped_by": "hand"} for scene in scenes]
    else:
        scenes = guess_scenes(inputs, parameters, shots, bible)
    write_json(out / "scene-context.json", {"scenes": with_so_far(group_shots(scenes, shots))})


STAGE = Stage(
    name="scene-context",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"scene-context.json": "scene-context"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
