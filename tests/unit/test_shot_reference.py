"""What shot-reference promises: no word is lost, and each is in the shot that holds its midpoint."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.stages.shot_reference import STAGE, shot_of, split_line


def segment(*words: tuple[float, float, str]) -> dict[str, Any]:
    entries = [{"start": start, "end": end, "text": text, "probability": 0.9} for start, end, text in words]
    text = "".join(word["text"] for word in entries).strip()
    return {"start": entries[0]["start"], "end": entries[-1]["end"], "text": text, "words": entries}


def build(
    tmp_path: Path, shots: dict[str, Any], segments: list[dict[str, Any]], speakers: Any = None
) -> list[dict[str, Any]]:
    for name, file, value in (
        ("shots", "shots.json", shots),
        ("transcript", "transcript.json", {"segments": segments, "dropped": []}),
        ("out", "", None),
    ):
        (tmp_path / name).mkdir()
        if file:
            (tmp_path / name / file).write_text(json.dumps(value))
    inputs = {"shots": tmp_path / "shots", "transcript": tmp_path / "transcript"}
    if speakers is not None:
        inputs["speakers"] = tmp_path / "speakers.yaml"
        inputs["speakers"].write_text(json.dumps(speakers))
    STAGE.execute(inputs, {}, tmp_path / "out")
    return json.loads((tmp_path / "out" / "shot-reference.json").read_text())["shots"]


def cut_at(*edges: int, fps: Any = 24) -> dict[str, Any]:
    shots = [{"start": start, "end": end} for start, end in pairwise(edges)]
    return {"fps": fps, "frames": edges[-1], "shots": shots}


def test_line_over_a_cut_is_split_and_both_parts_are_marked(tmp_path: Path) -> None:
    line = segment((0.2, 0.5, " Come"), (0.6, 0.9, " over"), (1.1, 1.4, " here."))
    first, second = build(tmp_path, cut_at(0, 24, 48), [line])
    assert [part["text"] for part in first["lines"] + second["lines"]] == ["Come over", "here."]
    assert all(part["crosses_cut"] for part in first["lines"] + second["lines"])
    assert not any(word["crosses_cut"] for word in first["lines"][0]["words"])
    assert (first["lines"][0]["start"], first["lines"][0]["end"]) == (0.2, 0.9)


def test_word_over_a_cut_goes_to_the_shot_of_its_midpoint_and_is_marked(tmp_path: Path) -> None:
    first, second = build(tmp_path, cut_at(0, 24, 48), [segment((0.9, 1.3, " Stop!"))])
    assert first["lines"] == []
    assert second["lines"][0]["crosses_cut"]
    assert second["lines"][0]["words"][0]["crosses_cut"]


def test_line_inside_one_shot_is_not_marked(tmp_path: Path) -> None:
    first, _ = build(tmp_path, cut_at(0, 24, 48), [segment((0.2, 0.5, " Come"), (0.6, 1.0, " here."))])
    assert not first["lines"][0]["crosses_cut"]


def test_word_that_ends_on_a_cut_stays_before_it_and_one_that_starts_there_comes_after(tmp_path: Path) -> None:
    first, second = build(tmp_path, cut_at(0, 24, 48), [segment((0.5, 1.0, " One"), (1.0, 1.5, " two"))])
    assert first["lines"][0]["text"] == "One"
    assert second["lines"][0]["text"] == "two"


def test_sound_before_and_after_the_picture_is_kept_at_its_ends(tmp_path: Path) -> None:
    first, second = build(tmp_path, cut_at(0, 24, 48), [segment((-0.5, -0.1, " Early")), segment((2.5, 3.0, " late"))])
    assert first["lines"][0]["text"] == "Early"
    assert second["lines"][0]["text"] == "late"


def test_fractional_frame_rate_places_cuts_exactly(tmp_path: Path) -> None:
    # Frame 24000 of 24000/1001 frames a second is shown at 1001 s, not at 1000 s.
    first, second = build(tmp_path, cut_at(0, 24000, 48000, fps="24000/1001"), [segment((1000.2, 1000.6, " Now"))])
    assert first["lines"] and not second["lines"]


def test_episode_without_shots_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"shots\.json: holds no shots"):
        build(tmp_path, {"fps": 24, "frames": 0, "shots": []}, [])


def test_line_has_the_speaker_of_its_middle_and_shots_what_is_said_around_them(tmp_path: Path) -> None:
    lines = [segment((0.2, 0.8, " Come")), segment((1.2, 1.8, " here."))]
    speakers = [{"start": 0, "end": 1, "speaker": "Frank"}]
    first, second, third = build(tmp_path, cut_at(0, 24, 48, 72), lines, speakers)
    assert (first["lines"][0]["speaker"], second["lines"][0]["speaker"]) == ("Frank", None)
    assert [(shot["before"], shot["after"]) for shot in (first, second, third)] == [
        ("", "here."),
        ("Come", ""),
        ("here.", ""),
    ]


def test_line_of_two_people_is_parted_where_the_other_begins(tmp_path: Path) -> None:
    line = segment((0.1, 0.3, " Who"), (0.4, 0.6, " is"), (0.7, 0.9, " it?"), (1.1, 1.3, " It"), (1.4, 1.6, " is"))
    speakers = [{"start": 0, "end": 0.65, "speaker": "Frank"}, {"start": 1, "end": 2, "speaker": "Rinky"}]
    (shot,) = build(tmp_path, cut_at(0, 48), [line], speakers)
    assert [(part["speaker"], part["text"]) for part in shot["lines"]] == [("Frank", "Who is it?"), ("Rinky", "It is")]
    assert not any(part["crosses_cut"] for part in shot["lines"])


@pytest.mark.parametrize(
    ("speakers", "sentence"),
    [
        (
            [{"start": 0, "end": 2, "speaker": "Frank"}, {"start": 1, "end": 3, "speaker": "Rinky"}],
            r"speakers: Frank speaks until 2 s, but Rinky from 1 s",
        ),
        ([{"start": 2, "end": 2, "speaker": "Frank"}], "speakers: Frank at 2 s: its end must lie after its start"),
        ([{"start": 2, "end": 3}], r"speakers\.yaml: \[0\]: 'speaker' is a required property"),
    ],
)
def test_speakers_that_do_not_fit_are_named(tmp_path: Path, speakers: Any, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, cut_at(0, 24, 48), [], speakers)


times = st.floats(0, 100, allow_nan=False).map(lambda value: round(value, 2))


@given(st.lists(times, min_size=1, max_size=12), st.lists(st.tuples(times, times), min_size=1, max_size=20))
def test_every_word_is_in_exactly_one_shot_whatever_the_cuts(
    cuts: list[float], spans: list[tuple[float, float]]
) -> None:
    starts = [0.0, *sorted(set(cuts) - {0.0})]
    line = segment(*sorted((min(span), max(span), f" w{number}") for number, span in enumerate(spans)))
    parts = split_line(line, starts)
    assert [word["text"] for _, part in parts for word in part["words"]] == [word["text"] for word in line["words"]]
    for shot, part in parts:
        for word in part["words"]:
            middle = (word["start"] + word["end"]) / 2
            assert shot == shot_of(word, starts)
            assert starts[shot] <= middle
            assert shot + 1 == len(starts) or middle < starts[shot + 1]
