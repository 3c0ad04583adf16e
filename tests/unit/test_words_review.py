"""What `reel review` and `reel bible` promise without a browser or a build."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reelgraph.cli.main import main
from reelgraph.errors import StageError
from reelgraph.stages import bible as bible_stage
from reelgraph.stages import bootstrap
from reelgraph.text.captions import text_hash
from reelgraph.text.yaml import read_yaml, write_yaml
from reelgraph.words.builds import materials_of
from reelgraph.words.review import place_overrides, review_rows, time_code, write_review

CLIPS = [{"id": "a", "start": 0, "end": 9, "shot": 0, "file": "c/a.mp4", "first_frame": "f/a.png"}]
CAPTIONS = [{"clip": "a", "start": 0, "end": 9, "text": "Frank sits.", "source": "model"}]
SHOTS = [{"shot": 0, "lines": [{"text": "</script><b>Oh", "speaker": None}]}]
MASTER = f"sha256:{'0' * 64}"
OVERRIDE = {
    **{"source": MASTER, "start": 0, "end": 9, "replaces": text_hash("Frank sits."), "text": "Frank hangs."},
    **{"by": "Ada", "reason": "He hangs."},
}


@pytest.fixture
def outputs(tmp_path: Path) -> dict[str, Path]:
    files = {
        "source/probe.json": {"sha256": "0" * 64, "video": {"fps_rational": "24/1"}},
        "clips/clips.json": {"clips": CLIPS},
        "caption/captions.json": {"captions": CAPTIONS},
        "caption/answers.json": {"answers": []},
        "caption/stage.json": {"parameters": {"minimum_words": 2, "maximum_words": 60}},
        "shot-reference/shot-reference.json": {"shots": SHOTS},
        "clips/c/a.mp4": "film",
        "clips/f/a.png": "picture",
    }
    for name, value in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(json.dumps(value))
    return {name: tmp_path / name for name in ("source", "clips", "caption", "shot-reference")}


def test_page_is_whole_and_what_is_said_cannot_break_it(tmp_path: Path, outputs: dict[str, Path]) -> None:
    assert write_review("e", outputs, None, tmp_path / "page") == 1
    page = (tmp_path / "page" / "index.html").read_text()
    assert "</script><b>Oh" not in page and page.count("</script>") == 2
    assert (tmp_path / "page" / "clips" / "a.mp4").is_file() and (
        tmp_path / "page" / "first_frames" / "a.png"
    ).is_file()
    assert "http" not in page


def test_place_in_the_episode_is_that_of_a_player() -> None:
    assert [time_code(Fraction(seconds)) for seconds in ("0.9", "67.5", "3725")] == ["0:00", "1:07", "62:05"]


def test_existing_folder_is_not_overwritten(tmp_path: Path, outputs: dict[str, Path]) -> None:
    with pytest.raises(StageError, match="exists already"):
        write_review("e", outputs, None, tmp_path)


def test_page_that_cannot_be_written_leaves_nothing(tmp_path: Path, outputs: dict[str, Path]) -> None:
    (outputs["clips"] / "f/a.png").unlink()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileNotFoundError):
        write_review("e", outputs, None, tmp_path / "page")
    assert sorted(tmp_path.rglob("*")) == before


def test_corrections_made_before_are_shown_with_what_they_replace() -> None:
    (row,) = review_rows(CLIPS, CAPTIONS, SHOTS, [], {"a": OVERRIDE})
    assert (row["text"], row["caption"], row["by"]) == ("Frank hangs.", "Frank sits.", "Ada")
    assert row["replaces"] == row["base"] == text_hash("Frank sits.")


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"source": f"sha256:{'1' * 64}"}, "it is for another master"),
        ({"end": 8}, "no clip has its frames"),
        ({"text": "Frank falls."}, "clip a has another correction"),
    ],
)
def test_correction_that_fits_no_clip_is_listed_with_the_reason(
    tmp_path: Path, outputs: dict[str, Path], changes: dict[str, Any], because: str
) -> None:
    odd = {**OVERRIDE, **changes}
    assert place_overrides(CLIPS, [OVERRIDE, odd], MASTER) == ({"a": OVERRIDE}, [{**odd, "because": because}])
    write_review("e", outputs, [OVERRIDE, odd], tmp_path / "page")
    assert because in (tmp_path / "page" / "index.html").read_text()


def test_corrections_that_are_none_are_named_and_nothing_is_written(tmp_path: Path, outputs: dict[str, Path]) -> None:
    with pytest.raises(StageError, match=r"overrides: \[0\]: 'replaces' is a required property"):
        write_review("e", outputs, [{key: OVERRIDE[key] for key in OVERRIDE if key != "replaces"}], tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_clip_that_needs_a_person_shows_what_the_model_tried() -> None:
    missing = [{**CAPTIONS[0], "text": "", "source": "needs-person"}]
    tried = [{"clip": "a", "attempts": [{"answer": "?", "problems": ["is not JSON"]}]}]
    assert review_rows(CLIPS, missing, SHOTS, tried, {})[0]["attempts"] == tried[0]["attempts"]
    assert review_rows(CLIPS, CAPTIONS, SHOTS, tried, {})[0]["attempts"] == []


def test_clip_without_caption_is_named() -> None:
    with pytest.raises(StageError, match="clip a: has no caption"):
        review_rows(CLIPS, [], SHOTS, [], {})


@pytest.mark.parametrize("episode", ["smoke", "smoke.", ".e", ""])
def test_episode_without_pipeline_is_wrong_usage(episode: str) -> None:
    with pytest.raises(StageError, match=r"expected PIPELINE\.EPISODE") as caught:
        materials_of(episode)
    assert caught.value.status == 2


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def reel(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, list(map(str, arguments)))


OLD: dict[str, Any] = {
    "series": "S",
    "characters": [{"name": "Frank", "aliases": ["Frankie"], "description": "A squirrel."}, {"name": "Rinky"}],
    "episodes": [
        {
            "id": "e1",
            "title": "Morning",
            "synopsis": "Frank wakes.",
            "clips": [
                {"id": "e1-0001", "start": 1.5, "end": 3.0, "training_caption": "Frank sits."},
                {"id": "e1-0002", "start": 3.0, "end": 4.0, "training_caption": ""},
                {"id": "e1-0003", "training_caption": "Frank waits."},
            ],
        }
    ],
}


def test_old_bible_becomes_a_bible_and_labels_and_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text(json.dumps(OLD))
    finished = reel("bible", "import", tmp_path / "old.json", "--output", tmp_path / "new", "--json")
    assert finished.exit_code == 0, finished.output
    told = json.loads(finished.stdout)
    assert told["episodes"] == {"e1": {"labels": 2, "without_caption": 1, "matched_by": {"seconds": 1, "clip": 1}}}
    assert told["to_mend"] == ["characters 'Rinky' has no appearance: none of appearance, description, look"]
    bible = read_yaml(tmp_path / "new" / "bible.yaml")
    assert bible["characters"][0] == {"name": "Frank", "aliases": ["Frankie"], "appearance": "A squirrel."}
    assert bible["episodes"] == [{"id": "e1", "title": "Morning", "synopsis": "Frank wakes."}]
    labels = read_yaml(tmp_path / "new" / "labels" / "e1.yaml")["labels"]
    assert labels == [
        {"training_caption": "Frank sits.", "seconds": [1.5, 3.0], "was": "e1-0001"},
        {"training_caption": "Frank waits.", "clip": "e1-0003", "was": "e1-0003"},
    ]


def test_thirteen_old_episodes_become_labels_that_find_their_clips_in_the_new_masters(tmp_path: Path) -> None:
    numbers = range(1, 14)
    clips = {
        n: [{"start": 10 * k, "end": 10 * k + 9, "training_caption": f"Frank sits, {n}.{k}."} for k in range(3)]
        for n in numbers
    }
    episodes = {f"e{n}": {"title": f"T{n}", "synopsis": "Frank sits.", "clips": clips[n]} for n in numbers}
    old = {"series": "S", "characters": {"Frank": "A squirrel."}, "episodes": episodes}
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert reel("bible", "import", tmp_path / "old.json", "--output", tmp_path / "new").exit_code == 0
    bible_stage.STAGE.execute({"bible": tmp_path / "new/bible.yaml"}, {}, made(tmp_path / "bible"))
    # Each new master begins with four seconds that the old edit did not have, at 24 frames a second.
    new = [{"id": str(k), "shot": k, "start": 240 * k + 100, "end": 240 * k + 300} for k in range(3)]
    for name, value in {"clips/clips.json": {"clips": new, "rejects": []}, "shots/shots.json": {"fps": 24}}.items():
        made((tmp_path / name).parent)
        (tmp_path / name).write_text(json.dumps(value))
    for n in numbers:
        labels = tmp_path / f"new/labels/e{n}.yaml"
        labels.write_text(labels.read_text().replace("offset_seconds: 0", "offset_seconds: 4"))
        inputs = {"clips": tmp_path / "clips", "shots": tmp_path / "shots", "labels": labels}
        bootstrap.STAGE.execute(inputs, {}, made(tmp_path / f"out{n}"))
        found = json.loads((tmp_path / f"out{n}/bootstrap.json").read_text())
        assert [entry["text"] for entry in found["labels"]] == [f"Frank sits, {n}.{k}." for k in range(3)]
        assert found["unmatched"] == found["unlabelled"] == []


def test_bible_check_says_what_is_wrong_and_what_is_there(tmp_path: Path) -> None:
    write_yaml(
        tmp_path / "good.yaml", {"series": "S", "source": "us", "characters": [{"name": "Frank", "appearance": "A."}]}
    )
    assert json.loads(reel("bible", "check", tmp_path / "good.yaml", "--json").stdout)["characters"] == 1
    write_yaml(tmp_path / "bad.yaml", {"series": "S", "source": "us", "characters": [{"name": "Frank"}]})
    finished = reel("bible", "check", tmp_path / "bad.yaml")
    assert finished.exit_code == 1 and "characters[0]: 'appearance' is a required property" in finished.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not YAML"),
        ("[]", "holds no episode with a training_caption"),
        ('{"episodes": [{"clips": [{"training_caption": "A"}]}]}', "has no id"),
        ('{"episodes": {"e": {"clips": [{"training_caption": "A", "start": 1, "end": "inf"}]}}}', "'inf' is no time"),
    ],
)
def test_old_bible_that_cannot_be_read_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "old.json").write_text(text)
    finished = reel("bible", "import", tmp_path / "old.json", "--output", tmp_path / "new")
    assert finished.exit_code == 1 and "old.json" in finished.stderr and sentence in finished.stderr
    assert not (tmp_path / "new").exists()


def test_old_alias_that_is_no_list_stays_whole(tmp_path: Path) -> None:
    clip = {"training_caption": "A rabbit stands", "start": 1, "end": 2}
    frank = {"look": "A squirrel.", "aliases": "Frankie", "outfits": ["red hat", None]}
    old = {"characters": {"Frank": frank}, "episodes": {"e": {"clips": [clip]}}}
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert reel("bible", "import", tmp_path / "old.json", "--output", tmp_path / "new").exit_code == 0
    (made,) = read_yaml(tmp_path / "new" / "bible.yaml")["characters"]
    assert (made["aliases"], made["outfits"]) == (["Frankie"], ["red hat"])
