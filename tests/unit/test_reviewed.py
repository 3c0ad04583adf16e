"""What reviewed promises: a person's correction is used, or a sentence names it; it is never lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reelgraph.errors import StageError
from reelgraph.stages.reviewed import STAGE
from reelgraph.text.captions import text_hash

SMOKE = Path(__file__).parents[2] / "materials" / "smoke"
BIBLE = {
    "series": "Big Buck Bunny",
    "characters": [{"name": "Frank", "aliases": [], "appearance": "A squirrel."}],
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
        "overrides.json": overrides,
        "out/.keep": None,
    }
    for name, value in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))
    inputs = {name: tmp_path / name for name in ("captions", "clips", "bible")} | {
        "overrides": tmp_path / "overrides.json"
    }
    STAGE.execute(inputs, {"minimum_words": 5, "maximum_words": 20}, tmp_path / "out")
    return json.loads((tmp_path / "out" / "captions.json").read_text())["captions"]


def test_without_overrides_the_captions_stay_as_they_are(tmp_path: Path) -> None:
    assert build(tmp_path, []) == CAPTIONS


@pytest.mark.parametrize("key", [{}, {"start": None, "end": None, "clip": "a-10-19"}])
def test_override_by_frames_or_by_clip_replaces_one_caption_and_says_so(tmp_path: Path, key: dict[str, Any]) -> None:
    first, second, third = build(tmp_path, [override(**key)])
    assert second == {**CAPTIONS[1], "text": AFTER, "source": "override"}
    assert [first, third] == [CAPTIONS[0], CAPTIONS[2]]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (
            [override(start=11)],
            r'override for frames 11-19 by Ada: there is no such clip; find the clip that now shows "Frank clings',
        ),
        ([override(start=None, end=None, clip="b-1-2")], "override for clip b-1-2 by Ada: there is no such clip"),
        (
            [override(), override(text=f"{AFTER} again")],
            "override for frames 10-19 by Ada: clip a-10-19 has another override",
        ),
        ([override(text="Frank waves")], "override for frames 10-19 by Ada: has 2 words, expected 5 to 20"),
        ([override(text="Frank waves to Harry in the sun")], "override for frames 10-19 by Ada: uses 'Harry'"),
        ([override(clip="a-10-19")], r"overrides\.json: "),
        ([override(end=None)], r"overrides\.json: "),
        ([override(replaces="abc")], r"overrides\.json: \[0\]\.replaces: 'abc' does not match"),
        ([override(by=None)], r"overrides\.json: \[0\]: 'by' is a required property"),
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
    labels, overrides = (json.loads((SMOKE / f"{name}.json").read_text()) for name in ("labels", "overrides"))
    present = {text_hash(label["training_caption"]) for label in labels}
    assert overrides
    assert {override["replaces"] for override in overrides} <= present
