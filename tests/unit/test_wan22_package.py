"""DiffSynth-Studio reads the package, and what does not fit is refused with a sentence that names the clip."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from diffsynth.core import UnifiedDataset
from PIL import Image

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stages.wan22_package import STAGE
from reelgraph.train.video import read_frames, write_video

PARAMETERS = {"name": "test", "trigger": "", "fps": 24, "side_multiple": 32}


@pytest.fixture
def episode(tmp_path: Path) -> Path:
    """Return a directory with two clips of 5 frames, 64x32, and their captions."""
    return make_episode(tmp_path / "episode", ["a", "b"])


def make_episode(directory: Path, names: list[str], size: tuple[int, int] = (64, 32), frames: int = 5) -> Path:
    clips, captions = [], []
    for folder in ("clips/clips", "clips/first_frames", "reviewed"):
        (directory / folder).mkdir(parents=True)
    for number, name in enumerate(names):
        pictures = [Image.new("RGB", size, (40 * number, 10 * frame, 90)) for frame in range(frames)]
        write_video(directory / "clips" / "clips" / f"{name}.mp4", pictures, fps=24, crf=16)
        pictures[0].save(directory / "clips" / "first_frames" / f"{name}.png")
        span = {"start": number * frames, "end": (number + 1) * frames}
        files = {"file": f"clips/{name}.mp4", "first_frame": f"first_frames/{name}.png"}
        clips.append({"id": name, **files, **span, "frames": frames, "shot": number})
        captions.append({"clip": name, **span, "text": f"Clip {name} turns blue.", "source": "training_caption"})
    shape = {"fps": 24, "width": size[0], "height": size[1], "frames": frames * len(names)}
    index = {**shape, "clips": clips, "rejects": []}
    write_json(directory / "clips" / "clips.json", index)
    write_json(directory / "reviewed" / "captions.json", {"captions": captions})
    return directory


def package(out: Path, *episodes: Path, **parameters: Any) -> Path:
    out.mkdir()
    inputs = {
        "clips": {f"ep{number}": path / "clips" for number, path in enumerate(episodes)},
        "captions": {f"ep{number}": path / "reviewed" for number, path in enumerate(episodes)},
    }
    STAGE.execute(inputs, {**PARAMETERS, **parameters}, out)
    return out


def edit(path: Path, change: Callable[[Any], None]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def edit_captions(episode: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    edit(episode / "reviewed" / "captions.json", lambda value: change(value["captions"]))


def edit_clips(episode: Path, change: Callable[[dict[str, Any]], None]) -> None:
    edit(episode / "clips" / "clips.json", change)


def test_diffsynth_reads_the_package(episode, tmp_path):
    out = package(tmp_path / "out", episode)
    dataset = UnifiedDataset(
        base_path=str(out),
        metadata_path=str(out / "metadata.json"),
        data_file_keys=("video",),
        main_data_operator=UnifiedDataset.default_video_operator(base_path=str(out), height=32, width=64, num_frames=5),
    )
    assert [dataset[number]["prompt"] for number in range(len(dataset))] == ["Clip a turns blue.", "Clip b turns blue."]
    assert len(dataset[1]["video"]) == 5
    assert dataset[1]["video"][0].size == (64, 32)


def test_rows_of_both_metadata_files_are_the_same(episode, tmp_path):
    out = package(tmp_path / "out", episode)
    rows, old = read_json(out / "metadata.json"), read_json(out / "wan21_metadata.json")
    assert [(row["video"], row["prompt"]) for row in rows] == [(row["video"], row["prompt"]) for row in old]
    assert all(row["file_name"] == row["video"] and row["text"] == row["prompt"] for row in old)


def test_the_dataset_counts_and_buckets_what_it_holds(episode, tmp_path):
    other = make_episode(tmp_path / "other", ["a", "b", "c"], size=(32, 64), frames=9)
    dataset = read_json(package(tmp_path / "out", episode, other) / "dataset.json")
    assert (dataset["episodes"], dataset["clips"], dataset["frames"]) == (2, 5, 37)
    assert dataset["buckets"] == [
        {"width": 32, "height": 64, "frames": 9, "clips": 3},
        {"width": 64, "height": 32, "frames": 5, "clips": 2},
    ]


def test_the_same_episodes_give_the_same_bytes(episode, tmp_path):
    first, second = package(tmp_path / "1", episode), package(tmp_path / "2", episode)
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert all((first / file).read_bytes() == (second / file).read_bytes() for file in files)


def test_the_dataset_hash_changes_with_a_caption_and_with_a_clip(episode, tmp_path):
    before = read_json(package(tmp_path / "1", episode) / "dataset.json")["hash"]
    edit_captions(episode, lambda captions: captions[0].update(text="Another text."))
    recaptioned = read_json(package(tmp_path / "2", episode) / "dataset.json")["hash"]
    frames = read_frames(episode / "clips" / "clips" / "a.mp4", 5)
    write_video(episode / "clips" / "clips" / "a.mp4", [*frames[1:], frames[0]], fps=24, crf=16)
    recut = read_json(package(tmp_path / "3", episode) / "dataset.json")["hash"]
    assert len({before, recaptioned, recut}) == 3


def test_the_trigger_stands_in_front_of_captions_that_lack_it(episode, tmp_path):
    edit_captions(episode, lambda captions: captions[0].update(text="In bbbstyle, a hill."))
    rows = read_json(package(tmp_path / "out", episode, trigger="bbbstyle") / "metadata.json")
    assert [row["prompt"] for row in rows] == ["In bbbstyle, a hill.", "bbbstyle, Clip b turns blue."]


CAPTION_FAULTS = {
    "caption for clip 'b' is empty": lambda captions: captions[1].update(text="  "),
    "caption for clip 'nowhere': there is no such clip": lambda captions: captions[1].update(clip="nowhere"),
    "clip 'b' has no caption": lambda captions: captions.pop(),
    "caption for clip 'a' is there twice": lambda captions: captions.append(captions[0]),
    "caption for clip 'b' is for frames 6 to 10, but the clip is 5 to 10": lambda captions: captions[1].update(start=6),
}


@pytest.mark.parametrize("sentence", CAPTION_FAULTS)
def test_a_caption_that_does_not_fit_its_clip_is_refused_by_name(episode, tmp_path, sentence):
    edit_captions(episode, CAPTION_FAULTS[sentence])
    with pytest.raises(StageError, match=f"ep0: {sentence}"):
        package(tmp_path / "out", episode)


CLIP_FAULTS = {
    "clip 'a': clips/other.mp4 is missing": lambda index: index["clips"][0].update(file="clips/other.mp4"),
    "clip 'a': first_frames/x.png is missing": lambda index: index["clips"][0].update(first_frame="first_frames/x.png"),
    "clip 'b': clips/b.mp4 has 5 frames, clips.json says 9": lambda index: index["clips"][1].update(frames=9),
    "clip 'a': clips/a.mp4 is 64x32, clips.json says 96x32": lambda index: index.update(width=96),
    "clip 'a': has 25 frames a second, the model was trained on 24": lambda index: index.update(fps=25),
}


@pytest.mark.parametrize("sentence", CLIP_FAULTS)
def test_a_clip_that_is_not_what_its_index_says_is_refused_by_name(episode, tmp_path, sentence):
    edit_clips(episode, CLIP_FAULTS[sentence])
    with pytest.raises(StageError, match=f"ep0: {sentence}"):
        package(tmp_path / "out", episode)


def test_sides_that_the_model_cannot_take_are_refused_by_name(tmp_path):
    episode = make_episode(tmp_path / "episode", ["a"], size=(48, 32))
    with pytest.raises(StageError, match="ep0: clip 'a': 48x32: the sides must be multiples of 32"):
        package(tmp_path / "out", episode)


def test_a_number_of_frames_that_the_model_cannot_take_is_refused_by_name(tmp_path):
    episode = make_episode(tmp_path / "episode", ["a"], frames=6)
    with pytest.raises(StageError, match=r"ep0: clip 'a': 6 frames; the model takes 4k\+1"):
        package(tmp_path / "out", episode)


def test_a_clip_that_is_cut_short_is_refused_by_name(episode, tmp_path):
    video = episode / "clips" / "clips" / "b.mp4"
    video.write_bytes(video.read_bytes()[:200])
    with pytest.raises(StageError, match=r"b\.mp4"):
        package(tmp_path / "out", episode)


def test_an_episode_without_captions_is_refused_by_name(episode, tmp_path):
    (tmp_path / "out").mkdir()
    inputs = {"clips": {"ep0": episode / "clips", "ep1": episode / "clips"}, "captions": {"ep0": episode / "reviewed"}}
    with pytest.raises(StageError, match="episode 'ep1' has no captions"):
        STAGE.execute(inputs, PARAMETERS, tmp_path / "out")


def test_a_dataset_without_clips_is_refused(episode, tmp_path):
    edit_clips(episode, lambda index: index["clips"].clear())
    edit_captions(episode, lambda captions: captions.clear())
    with pytest.raises(StageError, match="no clip in any episode"):
        package(tmp_path / "out", episode)
