"""What reviewed promises: a person's correction is used, or a sentence names it; it is never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reelgraph.errors import StageError
from reelgraph.stages.reviewed import STAGE
from reelgraph.text.captions import text_hash
from reelgraph.text.yaml import read_yaml

MASTER = f"sha256:{'0' * 64}"
SMOKE = Path(__file__).parents[2] / "materials" / "smoke"
BIBLE = {
    "series": "Big Buck Bunny",
    "characters": [{"name": "Frank", "aliases": [], "appearance": "A squirrel."}],
    "villains": [],
    "places": [],
    "gadgets": [],
}
CLIPS = [{"id": f"a-{start}-{start + 9}", "start": start, "end": start + 9} for start in (0, 10, 20)]
BEFORE = "Frank sits on the root of a tree"
AFTER = "Frank clings to the bark with his head down"
CAPTIONS = [
    {
        "clip": clip["id"],
        "start": clip["start"],
        "end": clip["end"],
        "text": f"{BEFORE} {number}",
        "source": "training_caption",
    }
    for number, clip in enumerate(CLIPS)
]


def override(**changes: Any) -> dict[str, Any]:
    entry = {
        "source": MASTER,
        "start": 10,
        "end": 19,
        "text": AFTER,
        "replaces": text_hash(f"{BEFORE} 1"),
        "by": "Ada",
        "reason": "He hangs.",
    }
    return {key: value for key, value in {**entry, **changes}.items() if value is not None}


def build(
    tmp_path: Path, overrides: Any, captions: list[dict[str, Any]] = CAPTIONS, clips: list[dict[str, Any]] = CLIPS
) -> list[dict[str, Any]]:
    files = {
        "captions/captions.json": {"captions": captions},
        "clips/clips.json": {"clips": clips},
        "bible/bible.json": BIBLE,
        "source/probe.json": {"sha256": "0" * 64},
        "overrides.yaml": overrides,
        "out/.keep": None,
    }
    for name, value in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))
    inputs = {name: tmp_path / name for name in ("source", "captions", "clips", "bible")} | {
        "overrides": tmp_path / "overrides.yaml"
    }
    STAGE.execute(inputs, {"minimum_words": 5, "maximum_words": 20}, tmp_path / "out")
    return json.loads((tmp_path / "out" / "captions.json").read_text())["captions"]


def test_without_overrides_the_captions_stay_as_they_are(tmp_path: Path) -> None:
    assert build(tmp_path, []) == CAPTIONS


def test_override_replaces_one_caption_and_says_so(tmp_path: Path) -> None:
    first, second, third = build(tmp_path, [override()])
    assert second == {**CAPTIONS[1], "text": AFTER, "source": "override"}
    assert [first, third] == [CAPTIONS[0], CAPTIONS[2]]


def test_override_writes_the_caption_of_a_clip_that_needed_a_person(tmp_path: Path) -> None:
    captions = [CAPTIONS[0], {**CAPTIONS[1], "text": "", "source": "needs-person"}, CAPTIONS[2]]
    assert build(tmp_path, [override(replaces=text_hash(""))], captions)[1]["text"] == AFTER


def test_clips_that_still_need_a_person_are_listed(tmp_path: Path) -> None:
    captions = [{**caption, "text": "", "source": "needs-person"} for caption in CAPTIONS]
    with pytest.raises(
        StageError, match=r"2 of 3 clips have no caption and need a person: a-0-9, a-20-29; .*reel review"
    ):
        build(tmp_path, [override(replaces=text_hash(""))], captions)


def test_override_of_another_master_shows_both(tmp_path: Path) -> None:
    with pytest.raises(
        StageError, match=r"is for the master sha256:1111.*, but this episode's is sha256:0000.*Frank clings"
    ):
        build(tmp_path, [override(source=f"sha256:{'1' * 64}")])


def test_override_whose_frames_moved_shows_what_is_there_now(tmp_path: Path) -> None:
    with pytest.raises(
        StageError, match=r'no clip of these frames .*frames 10-19 have "Frank sits .* 1".*"Frank clings'
    ) as caught:
        build(tmp_path, [override(start=12, end=21)])
    assert f'frames 20-29 have "{BEFORE} 2"' in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            [override(start=900, end=909)],
            r"override for frames 900-909 by Ada: there is no clip of these frames \(no clip shows any of them\)",
        ),
        (
            [override(), override(text=f"{AFTER} again")],
            f'override for frames 10-19 by Ada: clip a-10-19 has two overrides, "{AFTER}" and "{AFTER} again"',
        ),
        ([override(text="Frank waves")], "override for frames 10-19 by Ada: has 2 words, expected 5 to 20"),
        ([override(text="Frank waves to Harry in the sun")], "override for frames 10-19 by Ada: uses 'Harry'"),
        ([override(clip="a-10-19")], r"overrides\.yaml: "),
        ([override(end=None)], r"overrides\.yaml: "),
        ([override(replaces="abc")], r"overrides\.yaml: \[0\]\.replaces: 'abc' does not match"),
        ([override(source=None)], r"overrides\.yaml: \[0\]: 'source' is a required property"),
        ([override(by=None)], r"overrides\.yaml: \[0\]: 'by' is a required property"),
    ],
)
def test_override_that_does_not_fit_is_an_error_that_names_it(tmp_path: Path, overrides: Any, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, overrides)


def test_override_of_a_caption_that_has_changed_since_shows_both_texts(tmp_path: Path) -> None:
    captions = [CAPTIONS[0], {**CAPTIONS[1], "text": "Frank sleeps under the tree"}, CAPTIONS[2]]
    with pytest.raises(StageError, match="override for frames 10-19 by Ada: replaces sha256:") as caught:
        build(tmp_path, [override()], captions)
    assert "Frank sleeps under the tree" in str(caught.value)
    assert AFTER in str(caught.value)
    assert text_hash("Frank sleeps under the tree") in str(caught.value)


def test_one_text_as_override_of_three_clips_is_refused(tmp_path: Path) -> None:
    overrides = [
        override(start=caption["start"], end=caption["end"], replaces=text_hash(caption["text"]))
        for caption in CAPTIONS
    ]
    with pytest.raises(StageError, match="override for frames 0-9 by Ada: is the text of 3 clips, at most 2"):
        build(tmp_path, overrides)


@pytest.mark.parametrize(
    ("captions", "clips", "sentence"),
    [
        (CAPTIONS, CLIPS[:2], r"caption of clip a-20-29 \(frames 20-29\): there is no such clip"),
        (CAPTIONS[:2], CLIPS, "clip a-20-29: has no caption"),
        ([*CAPTIONS, CAPTIONS[0]], CLIPS, "caption of clip a-0-9 .*: there is no such clip"),
        ([{**CAPTIONS[0], "end": 8}, *CAPTIONS[1:]], CLIPS, "caption of clip a-0-9: is for frames 0-8, not the clip's"),
    ],
)
def test_captions_and_clips_that_do_not_match_are_an_error(
    tmp_path: Path, captions: Any, clips: Any, sentence: str
) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, [], captions, clips)


def test_smoke_overrides_replace_labels_as_they_stand() -> None:
    labels, overrides = (read_yaml(SMOKE / f"{name}.yaml") for name in ("labels", "overrides"))
    present = {text_hash(label["training_caption"]) for label in labels["labels"]}
    assert overrides
    assert {override["replaces"] for override in overrides} <= present
