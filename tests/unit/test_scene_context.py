"""What scene-context promises: names of the bible only, and every shot in exactly one scene."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reelgraph.errors import StageError
from reelgraph.stages.scene_context import STAGE, check_tiling, group_shots
from reelgraph.words.scenes import scenes_by_picture

BIBLE = {
    "series": "Big Buck Bunny",
    "characters": [{"name": "Frank", "aliases": ["Frankie"], "appearance": "A flying squirrel."}],
    "villains": [{"name": "Rinky", "aliases": [], "appearance": "A thin squirrel."}],
    "places": [{"name": "meadow", "aliases": [], "appearance": "Green."}],
    "gadgets": [],
}


PARAMETERS = {"picture_distance": 0.2, "lookback_seconds": 5}


def scene(start: int, end: int, place: str = "meadow", *characters: str) -> dict[str, Any]:
    return {"start": start, "end": end, "place": place, "characters": list(characters), "summary": "Something happens."}


def shot(number: int, start: int, end: int) -> dict[str, Any]:
    return {"shot": number, "start": start, "end": end, "lines": [], "before": "", "after": ""}


def build(tmp_path: Path, scenes: Any, shots: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for name in ("shots", "bible", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "shots" / "shot-reference.json").write_text(json.dumps({"shots": shots}))
    (tmp_path / "bible" / "bible.json").write_text(json.dumps(BIBLE))
    (tmp_path / "scenes.json").write_text(json.dumps(scenes))
    inputs = {"shot_reference": tmp_path / "shots", "bible": tmp_path / "bible", "scenes": tmp_path / "scenes.json"}
    STAGE.execute(inputs, PARAMETERS, tmp_path / "out")
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
            r"scene 0 .*'Frankie' is not among the characters of the bible \(Frank, Rinky\)",
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


def test_each_scene_says_what_happened_before_it(tmp_path: Path) -> None:
    scenes = [scene(0, 50), {**scene(50, 100), "summary": "It rains."}, scene(100, 150)]
    told = build(tmp_path, scenes, [shot(0, 0, 50), shot(1, 50, 100), shot(2, 100, 150)])
    assert [entry["so_far"] for entry in told] == ["", "Something happens.", "Something happens. It rains."]
    assert {entry["grouped_by"] for entry in told} == {"hand"}


def test_speaker_whom_the_bible_does_not_have_is_named(tmp_path: Path) -> None:
    line = {"start": 0.1, "end": 0.2, "text": "Oh", "words": [], "crosses_cut": False}
    (tmp_path / "bad").mkdir()
    words = [{"start": 0.1, "end": 0.2, "text": " Oh", "probability": 0.9, "crosses_cut": False}]
    for name in ("Frank", "narrator"):
        folder = tmp_path / name
        folder.mkdir()
        build(folder, [scene(0, 50)], [{**shot(0, 0, 50), "lines": [{**line, "words": words, "speaker": name}]}])
    with pytest.raises(StageError, match="speakers: 'Harry' is not in the bible"):
        build(tmp_path / "bad", [scene(0, 50)], [{**shot(0, 0, 50), "lines": [{**line, "speaker": "Harry"}]}])


RED, BLUE = np.array([1.0, 0.0]), np.array([0.0, 1.0])


@pytest.mark.parametrize(
    ("pictures", "starts"),
    [
        ({0: RED, 1: RED, 2: BLUE, 3: BLUE}, [0, 48]),
        ({0: RED, 1: BLUE, 2: RED, 3: BLUE}, [0]),
        ({0: RED, 2: BLUE}, [0, 48]),
        ({}, [0]),
    ],
)
def test_shots_of_like_colours_near_in_time_are_one_scene(pictures: dict[int, Any], starts: list[int]) -> None:
    shots = [shot(number, 24 * number, 24 * number + 24) for number in range(4)]
    found = scenes_by_picture(shots, pictures, {}, Fraction(24), 0.2, 5)
    assert [entry["start"] for entry in found] == starts
    assert found[-1]["end"] == 96


@pytest.mark.parametrize(
    ("places", "starts"),
    [
        ({}, [0, 72]),
        ({0: "Mill", 1: "Tree"}, [0, 24, 72]),
        ({0: "Mill", 2: "Tree"}, [0, 48, 72]),
        ({2: "Mill", 3: "Mill"}, [0]),
        ({0: "Mill", 3: "Mill"}, [0]),
        ({0: "Mill", 1: "Tree", 2: "Mill"}, [0, 24, 48, 72]),
    ],
)
def test_shots_of_one_place_are_one_scene_and_of_two_never(places: dict[int, str], starts: list[int]) -> None:
    shots = [shot(number, 24 * number, 24 * number + 24) for number in range(4)]
    found = scenes_by_picture(shots, {0: RED, 1: RED, 2: RED, 3: BLUE}, places, Fraction(24), 0.2, 5)
    assert [entry["start"] for entry in found] == starts


def test_like_shots_far_apart_are_two_scenes() -> None:
    shots = [shot(0, 0, 24), shot(1, 24, 24 * 60), shot(2, 24 * 60, 24 * 61)]
    found = scenes_by_picture(shots, {0: RED, 1: BLUE, 2: RED}, {}, Fraction(24), 0.2, 5)
    assert [entry["start"] for entry in found] == [0, 24, 24 * 60]


def test_without_a_person_s_scenes_the_pictures_make_them(tmp_path: Path) -> None:
    for name in ("reference", "bible", "clips", "shots", "out"):
        (tmp_path / name).mkdir()
    cuts = [shot(0, 0, 50), shot(1, 50, 100)]
    clips = [{"id": "ab"[number], "shot": number, "first_frame": f"{number}.png"} for number in range(2)]
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / "clips" / f"{number}.png")
    (tmp_path / "reference" / "shot-reference.json").write_text(json.dumps({"shots": cuts}))
    (tmp_path / "bible" / "bible.json").write_text(json.dumps(BIBLE))
    (tmp_path / "clips" / "clips.json").write_text(json.dumps({"clips": clips}))
    (tmp_path / "shots" / "shots.json").write_text(json.dumps({"fps": 24}))
    inputs = {
        "shot_reference": tmp_path / "reference",
        **{name: tmp_path / name for name in ("bible", "clips", "shots")},
    }
    STAGE.execute(inputs, PARAMETERS, tmp_path / "out")
    first, second = json.loads((tmp_path / "out" / "scene-context.json").read_text())["scenes"]
    assert (first["end"], second["start"], first["place"], first["grouped_by"]) == (50, 50, None, "picture")
    assert first["characters"] == ["Frank", "Rinky"]
    (tmp_path / "bootstrap").mkdir()
    labels = [{"clip": "a", "text": "Frank waits on the meadow"}, {"clip": "b", "text": "Frank runs over the meadow"}]
    (tmp_path / "bootstrap" / "bootstrap.json").write_text(json.dumps({"labels": labels}))
    (tmp_path / "labelled").mkdir()
    STAGE.execute({**inputs, "bootstrap": tmp_path / "bootstrap"}, PARAMETERS, tmp_path / "labelled")
    (both,) = json.loads((tmp_path / "labelled" / "scene-context.json").read_text())["scenes"]
    assert (both["end"], both["place"]) == (100, "meadow")
    del inputs["clips"]
    (tmp_path / "again").mkdir()
    with pytest.raises(StageError, match="neither a person's scenes nor clips and shots are given"):
        STAGE.execute(inputs, PARAMETERS, tmp_path / "again")
