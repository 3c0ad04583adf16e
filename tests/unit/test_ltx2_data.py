"""Clips with sound and captions as LTX-2's own trainer reads them, by the rules that it documents."""

from __future__ import annotations

import json
import re
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from ltx_workshop import GAP, SIZE, Workshop, change_json, write_episode
from small_films import RATE, join_sounds, read_sound, write_film
from workshop import CLIPS, EPISODE, FRAMES, make

from reelgraph.errors import StageError
from reelgraph.files import read_json, tree_files, write_json
from reelgraph.media.sound import read_flac, to_stereo
from reelgraph.stages import clip_sound, ltx2_data

PARAMETERS = {"name": "test", "trigger": "", "fps": 24}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    root = tmp_path_factory.mktemp("ltx2-data")
    write_episode(root)
    return Workshop(root)


def rows_of(package: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (package / "dataset.jsonl").read_text().splitlines()]


def test_the_sound_of_a_clip_is_the_masters_to_the_sample(workshop):
    whole = read_sound(workshop.root / "film.mp4")
    index = read_json(workshop.clip_sound()[EPISODE] / "sound.json")
    assert index["rate"] == RATE
    for number, row in enumerate(index["sound"]):
        samples, rate = read_flac(workshop.clip_sound()[EPISODE] / row["file"], row["samples"])
        start = round(number * (FRAMES + GAP) * RATE / 24)
        assert (rate, samples.shape) == (RATE, (2, round((number * (FRAMES + GAP) + FRAMES) * RATE / 24) - start))
        assert np.array_equal(samples, whole[:, start : start + samples.shape[1]])


def test_time_stamps_in_milliseconds_leave_no_gaps(tmp_path):
    """Matroska rounds them, so that frames of sound seem to overlap or to lie apart."""
    film = write_film(tmp_path / "film.mkv", [("moving", 60)])
    whole = read_sound(film)
    with av.open(str(film)) as container:
        found = clip_sound.sound_of(container.streams.audio[0], film, Fraction(1), Fraction(2))
    offsets = [n for n in range(-44, 45) if np.array_equal(found, whole[:, RATE + n : 2 * RATE + n])]
    assert len(offsets) == 1


def test_cutting_the_sound_again_gives_the_same_bytes(workshop, tmp_path):
    inputs = {"master": workshop.root / "film.mp4", "source": workshop.root, "clips": workshop.root / "clips"}
    again = make(tmp_path / "again", clip_sound, {}, **inputs)
    assert tree_files(again) == tree_files(workshop.clip_sound()[EPISODE])


def test_the_sound_of_a_clip_is_the_stream_that_the_probe_names(workshop, tmp_path):
    film = workshop.root / "film.mp4"
    quiet = write_film(tmp_path / "quiet.mp4", [("moving", FRAMES + GAP)] * CLIPS, sound="silence")
    master = join_sounds(tmp_path / "two.mp4", [(quiet, "fre", Disposition.default), (film, "eng", Disposition(0))])
    write_json(tmp_path / "probe.json", {"sound_stream": 1})
    found = make(tmp_path / "out", clip_sound, {}, master=master, source=tmp_path, clips=workshop.root / "clips")
    assert tree_files(found) == tree_files(workshop.clip_sound()[EPISODE])


def test_a_probe_of_another_master_is_refused(workshop, tmp_path):
    film = write_film(tmp_path / "mute.mkv", [("moving", FRAMES + GAP)] * CLIPS, sound=None)
    with pytest.raises(StageError, match=r"mute\.mkv: has 0 audio streams, and its probe\.json says that number 0"):
        make(tmp_path / "out", clip_sound, {}, master=film, source=workshop.root, clips=workshop.root / "clips")


def test_clips_of_another_film_are_refused(workshop, tmp_path):
    film = write_film(tmp_path / "other.mkv", [("moving", 30)])
    with pytest.raises(StageError, match=r"other\.mkv: has 30 frames, but its clips were cut from 95"):
        make(tmp_path / "out", clip_sound, {}, master=film, source=workshop.root, clips=workshop.root / "clips")


def test_one_channel_becomes_two_and_six_are_mixed_down():
    mono = np.arange(10, dtype=np.int16)[None]
    assert np.array_equal(to_stereo(mono, "mono", RATE), np.repeat(mono, 2, axis=0))
    six = np.zeros((6, 1000), np.int16)
    six[0] = 1000
    left, right = to_stereo(six, "5.1", RATE)
    assert left.shape == (1000,) and left.any() and not right.any()


def test_the_rows_follow_the_trainers_documented_rules(workshop):
    """Lightricks/LTX-2 at 400fd310: packages/ltx-trainer/docs/dataset-preparation.md, scripts/process_videos.py."""
    package = workshop.package()
    recognised = {"video", "media_path", "audio", "caption", "reference_video", "ref_media_path"}
    recognised |= {"reference_audio", "video_mask", "audio_mask"}
    rows, dataset = rows_of(package), read_json(package / "dataset.json")
    buckets = [tuple(map(int, bucket.split("x"))) for bucket in dataset["resolution_buckets"].split(";")]
    assert all(width % 32 == 0 and height % 32 == 0 and frames % 8 == 1 for width, height, frames in buckets)
    for row in rows:
        assert set(row) & recognised == {"video", "caption"} == set(row)
        assert row["caption"].strip()
        path = package / row["video"]
        assert path.is_file() and package in path.resolve().parents and not Path(row["video"]).is_absolute()
        with av.open(str(path)) as container:
            video, fps = container.streams.video[0], float(container.streams.video[0].average_rate)
            frames = sum(1 for _ in container.decode(video))
            assert fps == 24 and (video.width, video.height, frames) in buckets
        sound = read_sound(path)
        assert sound.shape[0] == 2 and sound.any()
        # It cuts sound to the clip's length, and pads what is shorter with silence and a warning.
        assert abs(sound.shape[1] - frames / fps * RATE) <= 1
    assert len(rows) == CLIPS


def test_ids_and_their_order_are_those_of_the_wan_package(workshop):
    own, wan = (read_json(path / "metadata.json") for path in (workshop.package(), workshop.wan_package("wan-package")))
    assert own == wan
    assert [row["video"] for row in rows_of(workshop.package())] == [row["video"] for row in wan]


def test_picture_and_sound_are_not_encoded_again(workshop):
    row = read_json(workshop.package() / "metadata.json")[1]
    silent = workshop.root / "clips/clips" / f"{row['clip']}.mp4"

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]

    assert packets(workshop.package() / row["video"]) == packets(silent)
    flac = workshop.clip_sound()[EPISODE] / f"sound/{row['clip']}.flac"
    assert np.array_equal(read_sound(workshop.package() / row["video"]), read_sound(flac))


def test_the_same_set_gives_the_same_bytes(workshop, tmp_path):
    again = make(tmp_path / "again", ltx2_data, PARAMETERS, **workshop.sources(), sound=workshop.clip_sound())
    assert tree_files(again) == tree_files(workshop.package())


def test_without_sound_no_clip_has_any(workshop, tmp_path):
    package = make(tmp_path / "out", ltx2_data, PARAMETERS, **workshop.sources(), sound={})
    assert read_json(package / "dataset.json")["audio"] is False
    for row in rows_of(package):
        with av.open(str(package / row["video"])) as container:
            assert not container.streams.audio


def test_sound_for_some_episodes_only_is_refused(workshop, tmp_path):
    sources = {name: {**value, "two": value[EPISODE]} for name, value in workshop.sources().items()}
    with pytest.raises(StageError, match="episode 'two': sound is given for some episodes only"):
        make(tmp_path / "out", ltx2_data, PARAMETERS, **sources, sound=workshop.clip_sound())


def test_sound_that_lacks_a_clip_is_refused_by_its_name(workshop, tmp_path):
    sound = Path(shutil.copytree(workshop.clip_sound()[EPISODE], tmp_path / "sound"))
    change_json(sound / "sound.json", lambda value: value["sound"].pop(2))
    with pytest.raises(StageError, match="ep: clip 'clip-2': has no sound"):
        make(tmp_path / "out", ltx2_data, PARAMETERS, **workshop.sources(), sound={EPISODE: sound})


def test_a_clip_of_a_length_that_the_model_does_not_take_is_refused(workshop, tmp_path):
    """21 frames are 4k+1, which Wan takes, but not 8k+1."""
    clips = Path(shutil.copytree(workshop.root / "clips", tmp_path / "clips"))
    film = write_film(tmp_path / "film.mp4", [("moving", 21)], size=SIZE, sound=None)
    shutil.copyfile(film, clips / "clips/clip-0.mp4")
    change_json(clips / "clips.json", lambda value: value["clips"][0].update(frames=21))
    sources = {**workshop.sources(), "clips": {EPISODE: clips}}
    with pytest.raises(StageError, match=re.escape("ep: clip 'clip-0': 21 frames; the model takes 8k+1")):
        make(tmp_path / "out", ltx2_data, PARAMETERS, **sources, sound={})


def test_the_trigger_is_left_to_the_trainers_own_flag(workshop, tmp_path):
    parameters = {**PARAMETERS, "trigger": "Hillfilm"}
    package = make(tmp_path / "out", ltx2_data, parameters, **workshop.sources(), sound={})
    prompts = [row["prompt"] for row in read_json(package / "metadata.json")]
    assert prompts[0].startswith("Hillfilm A hill")
    assert [f"Hillfilm {row['caption']}" for row in rows_of(package)] == prompts


def test_a_caption_that_holds_the_trigger_already_is_refused(workshop, tmp_path):
    with pytest.raises(StageError, match="ep: clip 'clip-0': its caption holds the trigger 'hill' already"):
        make(tmp_path / "out", ltx2_data, {**PARAMETERS, "trigger": "hill"}, **workshop.sources(), sound={})


def test_an_episode_without_captions_is_refused(workshop, tmp_path):
    sources = {**workshop.sources(), "captions": {}}
    with pytest.raises(StageError, match="episode 'ep' has no captions"):
        make(tmp_path / "out", ltx2_data, PARAMETERS, **sources, sound={})
