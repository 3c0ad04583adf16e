"""What bootstrap promises: each label lands on its own clip and says how, or is listed with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reelgraph.errors import StageError
from reelgraph.stages.bootstrap import STAGE
from reelgraph.words.pictures import colour_distance, colours, hash_distance, pdq

CLIPS = [
    {"id": "a-2-51", "start": 2, "end": 51, "shot": 0, "first_frame": "0.png"},
    {"id": "a-62-95", "start": 62, "end": 95, "shot": 1, "first_frame": "1.png"},
]
REJECTS = [{"start": 0, "end": 2}, {"start": 51, "end": 62}, {"start": 95, "end": 120}]


def picture(seed: int, size: tuple[int, int] = (160, 96)) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def build(tmp_path: Path, labels: Any, clips: list[dict[str, Any]] = CLIPS, **more: Any) -> dict[str, Any]:
    for name in ("clips", "shots", "out"):
        (tmp_path / name).mkdir(parents=True)
    for number in range(2):
        picture(number).save(tmp_path / "clips" / f"{number}.png")
    (tmp_path / "clips" / "clips.json").write_text(json.dumps({"clips": clips, "rejects": REJECTS}))
    (tmp_path / "shots" / "shots.json").write_text(json.dumps({"fps": "24000/1001"}))
    inputs = {"clips": tmp_path / "clips", "shots": tmp_path / "shots"}
    if labels is not None:
        inputs |= {"labels": tmp_path / "labels.yaml"}
        inputs["labels"].write_text(json.dumps({"labels": labels, **more}))
    STAGE.execute(inputs, {}, tmp_path / "out")
    return json.loads((tmp_path / "out" / "bootstrap.json").read_text())


def frames(start: int, end: int, text: str) -> dict[str, Any]:
    return {"start": start, "end": end, "training_caption": text}


def test_labels_by_id_frames_seconds_and_picture_say_how_they_were_matched(tmp_path: Path) -> None:
    picture(1, (320, 192)).save(tmp_path / "old.png", quality=60)
    for number, (label, how) in enumerate(
        [
            ({"clip": "a-62-95"}, "clip"),
            ({"start": 60, "end": 100}, "frames"),
            ({"seconds": [11.9, 13.9]}, "seconds"),
            ({"picture": pdq(tmp_path / "old.png")}, "picture"),
        ]
    ):
        made = build(tmp_path / str(number), [{**label, "training_caption": "B", "was": "old 7"}], offset_seconds=-9.4)
        assert [(entry["clip"], entry["text"], entry["matched"]) for entry in made["labels"]] == [("a-62-95", "B", how)]
        assert made["unlabelled"] == ["a-2-51"] and made["unmatched"] == []


@pytest.mark.parametrize(
    ("label", "name", "because"),
    [
        ({"clip": "b", "was": "ep 3, clip 9"}, "label of clip b (ep 3, clip 9)", "there is no such clip"),
        ({"seconds": [100, 102]}, "label of 100-102 s", "no clip lies mostly in its seconds"),
        ({"picture": "0" * 64}, "label of picture 000000000000", "at most 31 are allowed"),
        ({"start": 96, "end": 119}, "label of frames 96-119", "all its frames were rejected"),
    ],
)
def test_label_that_no_clip_has_is_listed_with_the_reason(tmp_path: Path, label: Any, name: str, because: str) -> None:
    made = build(tmp_path, [{**label, "training_caption": "B"}])
    assert made["labels"] == []
    assert made["unmatched"][0]["label"] == name and because in made["unmatched"][0]["because"]


def test_surer_match_wins_and_the_other_is_listed(tmp_path: Path) -> None:
    made = build(
        tmp_path, [{"seconds": [2.5, 4.1], "training_caption": "old"}, {"clip": "a-62-95", "training_caption": "new"}]
    )
    assert [entry["text"] for entry in made["labels"]] == ["new"]
    assert "matched more surely" in made["unmatched"][0]["because"]


def test_nearest_picture_wins_whichever_label_comes_first(tmp_path: Path) -> None:
    picture(1).save(tmp_path / "same.png")
    near = int(pdq(tmp_path / "same.png"), 16)
    labels = [
        {"picture": f"{near ^ 0b111:064x}", "training_caption": "near"},
        {"picture": f"{near:064x}", "training_caption": "same"},
    ]
    made = build(tmp_path / "episode", labels)
    assert [(entry["text"], entry["distance"]) for entry in made["labels"]] == [("same", 0)]
    assert [entry["text"] for entry in made["unmatched"]] == ["near"]


@pytest.mark.parametrize("label", [frames(0, 60, "A"), {"seconds": [0, 2], "training_caption": "A"}])
def test_clips_of_one_shot_may_all_share_its_label(tmp_path: Path, label: dict[str, Any]) -> None:
    clips = [{**CLIPS[0], "id": f"a-{start}", "start": start, "end": start + 9} for start in (2, 12, 22, 32)]
    assert [entry["text"] for entry in build(tmp_path, [label], clips)["labels"]] == ["A"] * 4


def test_without_labels_every_clip_is_unlabelled(tmp_path: Path) -> None:
    assert build(tmp_path, None) == {"labels": [], "unmatched": [], "unlabelled": ["a-2-51", "a-62-95"]}


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([frames(0, 70, "A")], r"clip a-62-95 \(frames 62-95\): the label of frames 0-70 covers only a part of it"),
        ([frames(60, 100, "A"), frames(90, 110, "B")], "labels of frames 60-100 and frames 90-110 overlap"),
        ([frames(110, 130, "A")], "label of frames 110-130: no clip lies in it and its frames were not rejected"),
        ([frames(110, 110, "A")], "label of frames 110-110: holds no frame"),
        ([{"start": 0, "end": 100}], r"labels\.yaml: labels\[0\]"),
        ([{"training_caption": "A"}], r"labels\.yaml: labels\[0\]"),
    ],
)
def test_labels_that_do_not_fit_are_named(tmp_path: Path, labels: Any, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, labels)


def test_one_text_of_three_labels_is_refused(tmp_path: Path) -> None:
    clips = [{**CLIPS[0], "id": name, "start": 10 * n, "end": 10 * n + 9} for n, name in enumerate("abc")]
    labels = [{"clip": name, "training_caption": "A"} for name in "abc"]
    with pytest.raises(StageError, match=r"3 labels give one text to their clips \(a, b, c"):
        build(tmp_path, labels, clips)


def test_pdq_is_that_of_the_reference(tmp_path: Path) -> None:
    picture(3).save(tmp_path / "a.png")
    assert pdq(tmp_path / "a.png") == (
        "75c67c4ffc39ae3354313913749e6356c3c54c6cc0c4b3133c3a1cabdb2104fe"
    )  # by pdqhash 0.2.8, Facebook's own code


def test_pictures_are_alike_across_sizes_and_only_then(tmp_path: Path) -> None:
    for name, seed, size in (("a", 3, (160, 96)), ("b", 3, (640, 384)), ("c", 4, (160, 96))):
        picture(seed, size).save(tmp_path / f"{name}.png")
    a, b, c = (tmp_path / f"{name}.png" for name in "abc")
    assert hash_distance(pdq(a), pdq(b)) <= 14 < 60 < hash_distance(pdq(a), pdq(c))
    assert colour_distance(colours(a), colours(b)) < 0.05 < colour_distance(colours(a), colours(c))
    (tmp_path / "d.png").write_text("no picture")
    with pytest.raises(StageError, match=r"d\.png: is not a picture"):
        pdq(tmp_path / "d.png")
