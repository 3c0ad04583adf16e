"""What the caption stage promises: every clip has the true label of its frames, or a sentence says why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.stages.caption import STAGE
from reelgraph.text.captions import caption_problems, text_hash
from reelgraph.text.ranges import contains, first_overlap, is_covered, shared_frames

SMOKE = Path(__file__).parents[2] / "materials" / "smoke"
BIBLE = {
    "series": "Big Buck Bunny",
    "characters": [
        {"name": "Big Buck Bunny", "aliases": ["Bunny"], "appearance": "A rabbit."},
        {"name": "Frank", "aliases": [], "appearance": "A squirrel."},
    ],
    "places": [{"name": "meadow", "aliases": [], "appearance": "Green."}],
    "gadgets": [],
}
FRANK = "Frank sits on the root of a tree in the sun"
BUNNY = "Big Buck Bunny stands alone in the yellow meadow and waits"


def clip(name: str, start: int, end: int) -> dict[str, Any]:
    return {"id": name, "start": start, "end": end}


def label(start: int, end: int, text: str) -> dict[str, Any]:
    return {"start": start, "end": end, "training_caption": text}


CLIPS = [clip("a-2-51", 2, 51), clip("a-62-95", 62, 95)]
LABELS = [label(0, 60, FRANK), label(60, 100, BUNNY)]
REJECTS = [{"start": 0, "end": 2}, {"start": 51, "end": 62}, {"start": 95, "end": 120}]


def build(
    tmp_path: Path,
    labels: Any = LABELS,
    clips: list[dict[str, Any]] = CLIPS,
    characters: tuple[str, ...] = ("Big Buck Bunny", "Frank"),
) -> list[dict[str, Any]]:
    scene = {"start": 0, "end": 120, "place": "meadow", "characters": list(characters), "summary": "", "shots": []}
    files = {
        "clips/clips.json": {"clips": clips, "rejects": REJECTS},
        "scene_context/scene-context.json": {"scenes": [scene]},
        "bible/bible.json": BIBLE,
        "labels.json": labels,
        "out/.keep": None,
    }
    for name, value in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))
    inputs = {name: tmp_path / name for name in ("clips", "scene_context", "bible")} | {
        "labels": tmp_path / "labels.json"
    }
    STAGE.execute(inputs, {"minimum_words": 5, "maximum_words": 20}, tmp_path / "out")
    return json.loads((tmp_path / "out" / "captions.json").read_text())["captions"]


def test_each_clip_has_the_label_that_contains_it_in_the_order_of_the_clips(tmp_path: Path) -> None:
    assert build(tmp_path, list(reversed(LABELS))) == [
        {"clip": "a-2-51", "start": 2, "end": 51, "text": FRANK, "source": "training_caption"},
        {"clip": "a-62-95", "start": 62, "end": 95, "text": BUNNY, "source": "training_caption"},
    ]


def test_clips_of_one_shot_may_all_share_its_label(tmp_path: Path) -> None:
    clips = [clip(f"a-{start}", start, start + 9) for start in (2, 12, 22, 32)]
    assert {caption["text"] for caption in build(tmp_path, [label(0, 60, FRANK)], clips)} == {FRANK}


def test_label_of_frames_that_were_all_rejected_is_fine(tmp_path: Path) -> None:
    assert len(build(tmp_path, [*LABELS, label(100, 120, "Frank runs away over the hill")])) == 2


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (LABELS[:1], r"clip a-62-95 \(frames 62-95\): has no label, none covers any of it; write a label"),
        (
            [label(0, 70, FRANK), label(70, 100, BUNNY)],
            r"clip a-62-95 .*: has no label, the label of frames 0-70 covers only a part",
        ),
        ([*LABELS, label(90, 110, BUNNY)], "labels of frames 60-100 and frames 90-110 overlap"),
        (
            [*LABELS, label(110, 130, FRANK)],
            "label of frames 110-130: no clip lies in it and its frames were not rejected",
        ),
        ([*LABELS, label(110, 110, FRANK)], "label of frames 110-110: holds no frame"),
        ([{"start": 0, "end": 100}], r"labels\.json: \[0\]: 'training_caption' is a required property"),
        ([label(0, 60, "Frank waves to Harry in the sun"), LABELS[1]], r"clip a-2-51 \(frames 2-51\): uses 'Harry'"),
        ([label(0, 60, "Frank sits"), LABELS[1]], "clip a-2-51 .* has 2 words, expected 5 to 20"),
        (
            [label(0, 60, f"{FRANK} {'and waits ' * 9}".strip()), LABELS[1]],
            "clip a-2-51 .* has 29 words, expected 5 to 20",
        ),
        (
            [label(0, 60, "The video shows Frank on a root"), LABELS[1]],
            r'clip a-2-51 .* talks of the film \("The video"\)',
        ),
        ([label(0, 60, f"{FRANK}\n"), LABELS[1]], "clip a-2-51 .* has line breaks or blanks"),
    ],
)
def test_label_that_does_not_fit_is_an_error_that_names_clip_or_frames(
    tmp_path: Path, labels: Any, sentence: str
) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, labels)


def test_character_whom_the_scene_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        StageError, match=r"caption of clip a-62-95 .*: shows Big Buck Bunny, whom its scene does not have"
    ):
        build(tmp_path, characters=("Frank",))


def test_one_text_in_several_labels_may_serve_two_clips_and_no_third(tmp_path: Path) -> None:
    clips = [clip("one", 2, 11), clip("two", 20, 30), clip("three", 40, 50)]
    labels = [label(0, 12, FRANK), label(15, 35, FRANK), label(36, 60, BUNNY)]
    (tmp_path / "two").mkdir()
    assert len(build(tmp_path / "two", labels, clips)) == 3
    labels[2]["training_caption"] = FRANK
    (tmp_path / "three").mkdir()
    with pytest.raises(
        StageError, match=r"labels of frames 0-12 and frames 15-35 and frames 36-60: give one text to 3 clips"
    ):
        build(tmp_path / "three", labels, clips)


@pytest.mark.parametrize(
    "opener",
    [
        *(
            "The video shows Frank",
            "This clip has Frank",
            "In this video, Frank sits",
            "the clip is of Frank",
            "We see Frank",
        ),
        *(
            "In the scene, Frank sits",
            "Here we see Frank",
            "The scene shows Frank",
            "This is a video of Frank",
            "A shot features Frank",
        ),
        "Frank sits. The camera footage ends. This footage is short",
    ],
)
def test_caption_that_talks_of_the_film_is_refused(opener: str) -> None:
    assert [problem for problem in caption_problems(opener, BIBLE, 1, 60) if "talks of the film" in problem]


@pytest.mark.parametrize(
    "text", ["Frank films the clip of his nail", "A clipped hedge. The picturesque meadow is calm. A framed stone"]
)
def test_words_that_only_look_like_an_opener_are_fine(text: str) -> None:
    assert caption_problems(text, BIBLE, 1, 60) == []


def test_hash_of_a_caption_is_that_of_its_utf8_text() -> None:
    assert text_hash("é") == "sha256:4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


ranges = st.tuples(st.integers(0, 40), st.integers(1, 15)).map(lambda pair: {"start": pair[0], "end": sum(pair)})


def frames_of(entry: dict[str, int]) -> set[int]:
    return set(range(entry["start"], entry["end"]))


@given(ranges, st.lists(ranges, max_size=8))
def test_ranges_mean_what_their_frames_mean(wanted: dict[str, int], others: list[dict[str, int]]) -> None:
    assert is_covered(wanted, others) == (frames_of(wanted) <= set().union(*map(frames_of, others)))
    for other in others:
        assert shared_frames(wanted, other) == len(frames_of(wanted) & frames_of(other))
        assert contains(other, wanted) == (frames_of(wanted) <= frames_of(other))
    assert (first_overlap(others) is None) == (
        sum(len(frames_of(other)) for other in others) == len(set().union(*map(frames_of, others)))
    )


def test_smoke_labels_tile_the_scenes_and_keep_to_the_bible() -> None:
    bible, scenes, labels = (json.loads((SMOKE / f"{name}.json").read_text()) for name in ("bible", "scenes", "labels"))
    assert [label["start"] for label in labels] == [0, *(label["end"] for label in labels[:-1])]
    assert labels[-1]["end"] == scenes[-1]["end"]
    for entry in labels:
        assert caption_problems(entry["training_caption"], bible, 15, 60) == []
        assert any(contains(scene, entry) for scene in scenes)
