"""`reel diff` says which clips, words, parameters, losses, weights and samples differ between two results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from safetensors.numpy import save_file

from reelgraph.compare.changes import compare, word_changes
from reelgraph.compare.page import comparison_json, comparison_lines, loss_chart, write_page
from reelgraph.compare.result import read_result
from reelgraph.errors import StageError
from reelgraph.stage import validate


def write_package(folder: Path, clips: dict[str, str], parameters: dict[str, Any] | None = None) -> Path:
    """Write a package of one-line clips: captions by clip id; a clip's bytes are its id."""
    rows = []
    for clip, prompt in clips.items():
        video = folder / f"clips/{clip}.mp4"
        video.parent.mkdir(parents=True, exist_ok=True)
        video.write_text(clip)
        rows.append({"episode": "one", "clip": clip, "prompt": prompt, "video": f"clips/{clip}.mp4"})
    (folder / "metadata.json").write_text(json.dumps(rows))
    files = {row["video"]: f"sha256:{row['clip']}" for row in rows}
    record = {"stage": "wan22-package", "parameters": parameters or {}, "inputs": {}, "files": files}
    (folder / "stage.json").write_text(json.dumps(record))
    return folder


def write_checkpoint(folder: Path, losses: list[float], number: float) -> Path:
    """Write a checkpoint with its losses, and a sample beside it."""
    folder.mkdir(parents=True)
    save_file({"w": numpy.full(4, number, "f4")}, folder / "lora.safetensors", {"reelgraph.seed": "22"})
    (folder / "loss.jsonl").write_text(
        "".join(f'{{"step": {step}, "loss": {loss}}}\n' for step, loss in enumerate(losses, 1))
    )
    (folder / "samples").mkdir()
    Image.new("RGB", (8, 8), (int(number * 10), 0, 0)).save(folder / "samples/a.png")
    (folder / "samples/samples.json").write_text(json.dumps({"samples": [{"file": "a.png", "prompt": "<a> bunny"}]}))
    return folder


def lines(first: Path, second: Path) -> str:
    """Return what `reel diff` prints."""
    return "\n".join(comparison_lines(compare(read_result(first), read_result(second))))


def test_equal_results_do_not_differ(tmp_path: Path) -> None:
    one = write_package(tmp_path / "a", {"s-000000-000049": "x"})
    two = write_package(tmp_path / "b", {"s-000000-000049": "x"})
    assert lines(one, two) == "nothing differs"
    assert compare(read_result(one), read_result(two)).is_same


def test_clips_are_added_removed_recut_or_of_another_master(tmp_path: Path) -> None:
    before = {"s-000000-000049": "a", "s-000049-000098": "b", "s-000100-000149": "c", "s-000300-000349": "d"}
    after = {"s-000000-000049": "a", "s-000053-000102": "b", "t-000100-000149": "c", "s-000900-000949": "e"}
    comparison = compare(
        read_result(write_package(tmp_path / "a", before)), read_result(write_package(tmp_path / "b", after))
    )
    found = comparison_json(comparison)["clips"]
    assert found["recut"] == [["one/s-000049-000098", "one/s-000053-000102"]]
    assert found["remastered"] == [["one/s-000100-000149", "one/t-000100-000149"]]
    assert (found["removed"], found["added"]) == (["one/s-000300-000349"], ["one/s-000900-000949"])
    validate(comparison_json(comparison), "reel-diff", "diff")


def test_a_clip_with_other_pictures_is_named(tmp_path: Path) -> None:
    one = write_package(tmp_path / "a", {"s-000000-000049": "x"})
    two = write_package(tmp_path / "b", {"s-000000-000049": "x"})
    record = json.loads((two / "stage.json").read_text())
    record["files"]["clips/s-000000-000049.mp4"] = "sha256:other"
    (two / "stage.json").write_text(json.dumps(record))
    assert "1 clip with other pictures:\n  one/s-000000-000049" in lines(one, two)


def test_captions_differ_word_by_word_also_of_a_recut_clip(tmp_path: Path) -> None:
    one = write_package(tmp_path / "a", {"s-000000-000049": "A gray rabbit sleeps", "s-000060-000109": "Frank runs"})
    two = write_package(
        tmp_path / "b", {"s-000000-000049": "A large gray rabbit wakes", "s-000064-000113": "Frank sits"}
    )
    text = lines(one, two)
    assert "one/s-000000-000049: A {+large+} gray rabbit [-sleeps-] {+wakes+}" in text
    assert "one/s-000064-000113: Frank [-runs-] {+sits+}" in text


def test_captions_of_one_episode_are_compared(tmp_path: Path) -> None:
    for name, text in (("a", "x y"), ("b", "x z")):
        (tmp_path / name).mkdir()
        caption = {"clip": "s-000000-000049", "start": 0, "end": 49, "text": text, "source": "model"}
        (tmp_path / name / "captions.json").write_text(json.dumps({"captions": [caption]}))
    assert "1 caption changed:\n  s-000000-000049: x [-y-] {+z+}" in lines(tmp_path / "a", tmp_path / "b")


def test_parameters_are_named_with_both_values(tmp_path: Path) -> None:
    one = write_package(tmp_path / "a", {"s-000000-000049": "x"}, {"fps": 24, "trigger": ""})
    two = write_package(tmp_path / "b", {"s-000000-000049": "x"}, {"fps": 16, "trigger": ""})
    assert "1 parameter changed:\n  wan22-package.fps: 24 -> 16" in lines(one, two)


def test_checkpoints_differ_in_losses_weights_and_samples(tmp_path: Path) -> None:
    one = write_checkpoint(tmp_path / "a", [3.0, 2.0, 1.0], 1)
    two = write_checkpoint(tmp_path / "b", [3.0, 2.5, 2.0], 1.5)
    text = lines(one, two)
    assert "loss at the end: 1 and 2" in text
    assert "weights: 1 of 1 tensors differ, w most, by 0.5" in text
    assert "1 sample changed:\n  a.png" in text


def test_checkpoint_files_alone_are_compared(tmp_path: Path) -> None:
    one = write_checkpoint(tmp_path / "a", [1.0], 1) / "lora.safetensors"
    two = write_checkpoint(tmp_path / "b", [1.0], 2) / "lora.safetensors"
    assert lines(one, two) == "weights: 1 of 1 tensors differ, w most, by 1"


def test_a_recipe_in_the_metadata_is_compared_by_its_parts(tmp_path: Path) -> None:
    for name, repeat in (("a", 4), ("b", 20)):
        recipe = json.dumps({"rank": 16, "repeat": repeat})
        save_file({"w": numpy.zeros(4, "f4")}, tmp_path / f"{name}.safetensors", {"reelgraph.recipe": recipe})
    assert "  checkpoint.reelgraph.recipe.repeat: 4 -> 20" in lines(
        tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    )


def test_both_losses_are_on_one_picture(tmp_path: Path) -> None:
    first = read_result(write_checkpoint(tmp_path / "a", [3.0] * 2000, 1))
    second = read_result(write_checkpoint(tmp_path / "b", [2.0] * 30, 1))
    chart = loss_chart(compare(first, second))
    assert chart.count("<polyline") == 2 and len(chart) < 40_000
    assert loss_chart(compare(first, read_result(write_package(tmp_path / "c", {"s-000000-000049": "x"})))) == ""


def test_the_page_has_the_samples_side_by_side(tmp_path: Path) -> None:
    one, two = write_checkpoint(tmp_path / "a", [1.0], 1), write_checkpoint(tmp_path / "b", [1.0], 2)
    (two / "samples/a.png").rename(two / "samples/b.png")
    (two / "samples/samples.json").write_text(json.dumps({"samples": [{"file": "b.png", "prompt": "x"}]}))
    page = write_page(compare(read_result(one), read_result(two)), tmp_path / "page").read_text()
    assert 'src="first/a.png"' in page and 'src="second/b.png"' in page and page.count("not there") == 2
    assert "&lt;a&gt; bunny" in page
    assert (tmp_path / "page/first/a.png").is_file()


def test_long_lists_are_cut_and_counted(tmp_path: Path) -> None:
    one = write_package(tmp_path / "a", {f"s-{number:06}-{number + 1:06}": "x" for number in range(50)})
    two = write_package(tmp_path / "b", {"s-000900-000949": "x"})
    assert "50 clips removed:" in lines(one, two) and "  … and 30 more" in lines(one, two)


def test_a_folder_that_is_no_result_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="is no package, captions, checkpoint, samples or bundle"):
        read_result(tmp_path)


@pytest.mark.parametrize(
    ("was", "now", "changes"),
    [
        ("", "", []),
        ("a b", "a b", [("same", "a b")]),
        ("a b c", "a c d", [("same", "a"), ("gone", "b"), ("same", "c"), ("new", "d")]),
        ("a", "b", [("gone", "a"), ("new", "b")]),
    ],
)
def test_words_are_same_gone_or_new(was: str, now: str, changes: list) -> None:
    assert word_changes(was, now) == changes
