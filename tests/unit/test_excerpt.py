"""What one can rely on of the excerpt stage."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import jsonschema
import numpy as np
import pytest
from small_films import RATE, read_numbers, read_sound, tone, write_film

from reelgraph.errors import StageError
from reelgraph.media.sound import integer_resampler, read_recording
from reelgraph.stages.excerpt import STAGE

REPOSITORY = Path(__file__).parents[2]
SPEECH = "speech-1.0/data/first.wav"
SHOTS = [("moving", 40), ("moving", 40), ("moving", 40)]


def recording(seconds: float, rate: int = 16000, channels: int = 1, amplitude: int = 3000) -> bytes:
    """Return a WAV of noise, which no rounding could leave unchanged."""
    noise = np.random.default_rng(3).integers(-amplitude, amplitude, round(seconds * rate) * channels, np.int16)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(2)
        written.setframerate(rate)
        written.writeframes(noise.tobytes())
    return file.getvalue()


def tar(path: Path, members: dict[str, bytes]) -> Path:
    """Write a .tar.gz of ``members``."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def materials(tmp_path: Path, film: Callable[..., Path]) -> dict[str, Path]:
    """Return the stage's inputs: a film in a zip in a .tar.gz, and a .tar.gz with speech."""
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(film(SHOTS), "resources/film.mp4")
    return {
        "film": tar(tmp_path / "film-1.0.tar.gz", {"film-1.0/README": b"x", "film-1.0/films.zip": zipped.getvalue()}),
        "speech": tar(
            tmp_path / "speech-1.0.tar.gz",
            {SPEECH: recording(0.5), "speech-1.0/loud.wav": recording(0.5, amplitude=32767)},
        ),
    }


@pytest.fixture
def parameters(film: Callable[..., Path]) -> dict[str, Any]:
    """Return parameters that cut frames 24 to 96 and put one line at 1 s of them."""
    return {
        "film_archive_member": "film-1.0/films.zip",
        "film_member": "resources/film.mp4",
        "film_sha256": hashlib.sha256(film(SHOTS).read_bytes()).hexdigest(),
        "start_seconds": 1,
        "end_seconds": 4,
        "dialogue": [line(1.0)],
        "speech_gain_percent": 50,
        "crf": 10,
        "preset": "ultrafast",
    }


def line(start: float, source: str = SPEECH) -> dict[str, Any]:
    return {"start": start, "speaker": "narrator", "text": "Noise.", "source": source}


@pytest.fixture
def excerpt(tmp_path: Path, materials: dict[str, Path], parameters: dict[str, Any]) -> Callable[..., Path]:
    """Return a function that runs the stage with changed parameters and gives its output."""

    def run(**changes: Any) -> Path:
        out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        STAGE.execute(materials, {**parameters, **changes}, out)
        return out

    return run


def test_episode_has_exactly_the_frames_asked_for(excerpt: Callable[..., Path]) -> None:
    assert read_numbers(excerpt() / "episode.mp4") == list(range(24, 96))


def test_speech_lies_at_its_start_and_the_soundtrack_keeps_its_level(
    excerpt: Callable[..., Path], materials: dict[str, Path], tmp_path: Path
) -> None:
    sound = read_sound(excerpt() / "episode.mp4").astype(int)
    expected = tone(5 * RATE)[:, RATE : 4 * RATE].astype(int)
    (tmp_path / "first.wav").write_bytes(recording(0.5))
    speech = read_recording(tmp_path / "first.wav", "first.wav", RATE).astype(int) * 50 // 100
    expected[:, RATE : RATE + len(speech)] += speech
    assert np.array_equal(sound, expected)


def test_same_inputs_give_the_same_bytes(excerpt: Callable[..., Path]) -> None:
    first, second = excerpt(), excerpt()
    assert (first / "episode.mp4").read_bytes() == (second / "episode.mp4").read_bytes()
    assert (first / "stage.json").read_bytes() == (second / "stage.json").read_bytes()


def test_whole_film_without_dialogue_is_the_film_unchanged(
    excerpt: Callable[..., Path], film: Callable[..., Path]
) -> None:
    episode = excerpt(start_seconds=0, end_seconds=None, dialogue=[]) / "episode.mp4"
    assert episode.read_bytes() == film(SHOTS).read_bytes()


def test_whole_film_with_dialogue_keeps_every_frame(excerpt: Callable[..., Path]) -> None:
    assert read_numbers(excerpt(start_seconds=0, end_seconds=None) / "episode.mp4") == list(range(120))


def test_film_may_lie_in_the_archive_without_a_zip(
    excerpt: Callable[..., Path], materials: dict[str, Path], film: Callable[..., Path], tmp_path: Path
) -> None:
    materials["film"] = tar(tmp_path / "plain.tar.gz", {"plain/film.mp4": film(SHOTS).read_bytes()})
    episode = excerpt(film_archive_member=None, film_member="plain/film.mp4") / "episode.mp4"
    assert read_numbers(episode) == list(range(24, 96))


def test_sound_of_a_lossy_film_starts_where_the_picture_does(
    tmp_path: Path, excerpt: Callable[..., Path], materials: dict[str, Path]
) -> None:
    lossy = write_film(tmp_path / "lossy.mp4", SHOTS, audio_codec="aac")
    materials["film"] = tar(tmp_path / "lossy.tar.gz", {"lossy.mp4": lossy.read_bytes()})
    sha256 = hashlib.sha256(lossy.read_bytes()).hexdigest()
    out = excerpt(film_archive_member=None, film_member="lossy.mp4", film_sha256=sha256, dialogue=[])
    sound = read_sound(out / "episode.mp4").astype(float)[0]
    expected = tone(5 * RATE)[0].astype(float)
    assert sound.shape == (3 * RATE,)
    fit = [
        np.corrcoef(sound[RATE : 2 * RATE], expected[2 * RATE + shift : 3 * RATE + shift])[0, 1]
        for shift in range(-50, 51)
    ]
    assert int(np.argmax(fit)) - 50 == 0
    assert max(fit) > 0.99


def test_resampling_never_leaves_integers() -> None:
    assert integer_resampler("s16", "mono", RATE).options == {"internal_sample_fmt": "s32p"}


def test_smoke_dialogue_is_what_the_stage_takes() -> None:
    dialogue = json.loads((REPOSITORY / "materials/smoke/dialogue.json").read_text(encoding="utf-8"))
    schema = json.loads((REPOSITORY / "python/reelgraph/schemas/excerpt.parameters.json").read_text(encoding="utf-8"))
    jsonschema.validate(dialogue, schema["properties"]["dialogue"])
    assert [entry["start"] for entry in dialogue] == sorted(entry["start"] for entry in dialogue)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"film_sha256": "0" * 64}, r"film\.mp4: SHA-256 is \w{64}, expected 0{64}; the film was altered"),
        ({"film_archive_member": "film-1.0/none.zip"}, r"film-1\.0\.tar\.gz: holds no file 'film-1\.0/none\.zip'"),
        ({"film_member": "none.mp4"}, r"films\.zip: holds no file 'none\.mp4'"),
        ({"film_archive_member": "film-1.0/README"}, r"README: cannot be unpacked .* expected a whole zip archive"),
        ({"start_seconds": 4, "end_seconds": 4}, r"film\.mp4: lasts 5\.000 s, so no episode from 4\.0 to 4\.0 s"),
        ({"end_seconds": 5.5}, r"film\.mp4: lasts 5\.000 s"),
        ({"dialogue": [line(0.5, "none.wav")]}, r"speech-1\.0\.tar\.gz: holds no file 'none\.wav'"),
        ({"dialogue": [line(1.0), line(1.4)]}, r"dialogue: '.*first\.wav' starts before '.*first\.wav' ends"),
        ({"dialogue": [line(2.6)]}, r"dialogue: '.*first\.wav' ends after the episode"),
        (
            {"dialogue": [line(1.0, "speech-1.0/loud.wav")], "speech_gain_percent": 100},
            r"'speech-1\.0/loud\.wav' and the soundtrack clip",
        ),
        ({"speech_gain_percent": 0}, r"parameters: speech_gain_percent: 0 is less than the minimum of 1"),
    ],
)
def test_a_wrong_parameter_is_told_in_a_sentence(
    excerpt: Callable[..., Path], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StageError, match=sentence):
        excerpt(**changes)


@pytest.mark.parametrize("name", ["film", "speech"])
def test_an_archive_cut_short_is_told_by_its_name(
    excerpt: Callable[..., Path], materials: dict[str, Path], name: str
) -> None:
    content = materials[name].read_bytes()
    materials[name].write_bytes(content[: len(content) // 10])
    with pytest.raises(StageError, match=rf"{name}-1\.0\.tar\.gz: cannot be unpacked .* fetch it again"):
        excerpt()


def test_an_archive_that_is_none_is_told_by_its_name(
    excerpt: Callable[..., Path], materials: dict[str, Path], film: Callable[..., Path]
) -> None:
    shutil.copyfile(film(SHOTS), materials["film"])
    with pytest.raises(StageError, match=r"film-1\.0\.tar\.gz: cannot be unpacked .* expected a whole \.tar\.gz"):
        excerpt()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (recording(0.1, channels=2), "has 2 channels of 16 bits; give a recording that is mono"),
        (b"no sound at all", "is not a WAV recording"),
    ],
)
def test_a_recording_of_another_kind_is_told_by_its_name(
    excerpt: Callable[..., Path], materials: dict[str, Path], tmp_path: Path, content: bytes, sentence: str
) -> None:
    materials["speech"] = tar(tmp_path / "other.tar.gz", {SPEECH: content})
    with pytest.raises(StageError, match=rf"{SPEECH}: {sentence}"):
        excerpt()


def test_a_film_without_sound_is_told_by_its_name(
    excerpt: Callable[..., Path], materials: dict[str, Path], film: Callable[..., Path], tmp_path: Path
) -> None:
    silent = film(SHOTS, sound=None)
    materials["film"] = tar(tmp_path / "silent.tar.gz", {"silent.mp4": silent.read_bytes()})
    sha256 = hashlib.sha256(silent.read_bytes()).hexdigest()
    with pytest.raises(StageError, match=r"silent\.mp4: has no audio stream"):
        excerpt(film_archive_member=None, film_member="silent.mp4", film_sha256=sha256)


def test_episode_states_neither_time_nor_software(excerpt: Callable[..., Path]) -> None:
    with av.open(str(excerpt() / "episode.mp4")) as container:
        told = {**container.metadata, **container.streams.video[0].metadata, **container.streams.audio[0].metadata}
    assert not {"creation_time", "encoder", "date"} & {key.lower() for key in told}
