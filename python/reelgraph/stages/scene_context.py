"""Group an episode's shots into scenes: who is there, where, what happens, and what is said in each shot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.ranges import frames, shared_frames


@dataclass(frozen=True)
class Inputs:
    """Directories with shot-reference.json and bible.json, and the scenes as people write them, a JSON file."""

    shot_reference: Path
    bible: Path
    scenes: Path


@dataclass(frozen=True)
class Parameters:
    """None."""


def check_names(scenes: Sequence[Mapping[str, Any]], bible: Mapping[str, Any]) -> None:
    """Raise a StageError where a scene names a place or character that is no entry of the bible."""
    for number, scene in enumerate(scenes):
        for kind, name in (("places", scene["place"]), *(("characters", name) for name in scene["characters"])):
            if name not in (names := [entry["name"] for entry in bible[kind]]):
                raise StageError(
                    f"scene {number} ({frames(scene)}): '{name}' is not among the {kind} of the bible "
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


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write scene-context.json."""
    shots = read_json(inputs.shot_reference / "shot-reference.json")["shots"]
    scenes = read_json(inputs.scenes)
    validate(scenes, "scenes", inputs.scenes.name)
    check_names(scenes, read_json(inputs.bible / "bible.json"))
    check_tiling(scenes, shots[0]["start"], shots[-1]["end"])
    write_json(out / "scene-context.json", {"scenes": group_shots(scenes, shots)})


STAGE = Stage(
    name="scene-context",
    inputs=Inputs,
    parameters=Parameters,
    outputs={"scene-context.json": "scene-context"},
    run=run,
)

if __name__ == "__main__":
    STAGE.main()
