"""What scene-context promises: names of the bible only, and every shot in exactly one scene."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.stages.scene_context import STAGE, check_tiling, group_shots

BIBLE = {
    "series": "Big Buck Bunny",
    "characters": [{"name": "Frank", "aliases": ["Frankie"], "appearance": "A flying squirrel."}],
    "places": [{"name": "meadow", "aliases": [], "appearance": "Green."}],
    "gadgets": [],
}


def scene(start: int, end: int, place: str = "meadow", *characters: str) -> dict[str, Any]:
    return {"start": start, "end": end, "place": place, "characters": list(characters), "summary": "Something happens."}


def shot(number: int, start: int, end: int) -> dict[str, Any]:
    return {"shot": number, "start": start, "end": end, "lines": []}


def build(tmp_path: Path, scenes: Any, shots: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for name in ("shots", "bible", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "shots" / "shot-reference.json").write_text(json.dumps({"shots": shots}))
    (tmp_path / "bible" / "bible.json").write_text(json.dumps(BIBLE))
    (tmp_path / "scenes.json").write_text(json.dumps(scenes))
    inputs = {"shot_reference": tmp_path / "shots", "bible": tmp_path / "bible", "scenes": tmp_path / "scenes.json"}
    STAGE.execute(inputs, {}, tmp_path / "out")
    return json.loads((tmp_path / "out" / "scene-context.json").read_text())["scenes"]


def test_shot_over_a_scene_boundary_belongs_to_the_scene_with_most_of_its_frames(tmp_path: Path) -> None:
    scenes = [scene(0, 50, "meadow", "Frank"), scene(50, 100)]
    first, second = build(tmp_path, scenes, [shot(0, 0, 40), shot(1, 40, 70), shot(2, 70, 100)])
    assert [entry["shot"] for entry in first["shots"]] == [0]
    assert [entry["shot"] for entry in second["shots"]] == [1, 2]
    assert first["characters"] == ["Frank"]


@pytest.mark.parametrize(
    ("scenes", "sentence"),
    [
        (
            [scene(0, 100, "castle")],
            r"scene 0 \(frames 0-100\): 'castle' is not among the places of the bible \(meadow\)",
        ),
        (
            [scene(0, 60), scene(60, 100, "meadow", "Harry")],
            r"scene 1 \(frames 60-100\): 'Harry' is not among the characters",
        ),
        (
            [scene(0, 100, "meadow", "Frankie")],
            r"scene 0 .*'Frankie' is not among the characters of the bible \(Frank\)",
        ),
        ([scene(0, 40), scene(50, 100)], "a gap before scene 1, from frame 40 to 50"),
        ([scene(0, 60), scene(50, 100)], "an overlap before scene 1, from frame 60 to 50"),
        ([scene(10, 100)], "a gap before scene 0, from frame 0 to 10"),
        ([scene(0, 90)], "a gap after the last scene, from frame 90 to 100; scenes must tile frames 0-100"),
        ([scene(0, 110)], "an overlap after the last scene, from frame 110 to 100"),
        ([scene(0, 50), scene(50, 50), scene(50, 100)], "a scene of frames 50-50 holds no frame"),
        (
            [scene(0, 45), scene(45, 50), scene(50, 100)],
            r"scene 1 \(frames 45-50\): no shot has most of its frames in it",
        ),
        ([], r"scenes\.json: \[\] should be non-empty"),
        ([{"start": 0, "end": 100}], r"scenes\.json: \[0\]: '\w+' is a required property"),
    ],
)
def test_scenes_that_do_not_fit_are_an_error_that_names_the_scene(tmp_path: Path, scenes: Any, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, scenes, [shot(0, 0, 50), shot(1, 50, 100)])


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20), st.data())
def test_every_shot_is_in_exactly_one_scene_whatever_the_lengths(lengths: list[int], data: st.DataObject) -> None:
    edges = [sum(lengths[:count]) for count in range(len(lengths) + 1)]
    shots = [shot(number, *pair) for number, pair in enumerate(pairwise(edges))]
    chosen = sorted(data.draw(st.sets(st.sampled_from(edges))) | {0, edges[-1]})
    scenes = [scene(*pair) for pair in pairwise(chosen)]
    check_tiling(scenes, 0, edges[-1])
    grouped = group_shots(scenes, shots)
    assert [entry for part in grouped for entry in part["shots"]] == shots
