"""What one can rely on of the source stage: it describes a master, or says what is wrong with it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from av.stream import Disposition
from small_films import RATE, join_sounds

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stages.source import STAGE

SHOTS = [("moving", 60), ("moving", 60)]
PARAMETERS = {"episode": "episode-1", "title": "One", "language": "en", "licence": "CC-BY-3.0", "sha256": None}


@pytest.fixture
def source(run_stage: Callable[..., Path]) -> Callable[..., dict[str, Any]]:
    """Return a function that runs the stage on a master and gives probe.json."""

    def run(master: Path, **changes: Any) -> dict[str, Any]:
        return read_json(run_stage(STAGE, {"master": master}, {**PARAMETERS, **changes}) / "probe.json")

    return run


def test_a_master_is_described_as_it_is(film: Callable[..., Path], source: Callable[..., dict[str, Any]]) -> None:
    master = film(SHOTS)
    assert source(master) == {
        **PARAMETERS,
        "sha256": hashlib.sha256(master.read_bytes()).hexdigest(),
        "bytes": master.stat().st_size,
        "video": {
            "codec": "h264",
            "width": 128,
            "height": 96,
            "sample_aspect_ratio": "1/1",
            "fps": 24.0,
            "fps_rational": "24/1",
            "frames": 120,
            "seconds": 5.0,
            "start_seconds": 0.0,
            "variable_rate": False,
        },
        "audio": [{"codec": "flac", "rate": RATE, "channels": 2, "seconds": 5.0, "language": None}],
        "sound_stream": 0,
    }


def test_the_last_line_of_progress_says_that_all_of_a_small_master_was_read(
    film: Callable[..., Path], source: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    master = film(SHOTS)
    source(master)
    kilobytes = round(master.stat().st_size / 1000)
    assert 1 <= kilobytes < 1000
    assert f"source: {kilobytes}/{kilobytes} kilobytes, " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi", "a.ts"])
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(24000, 1001)])
def test_frames_and_rate_are_right_in_every_container(
    film: Callable[..., Path], source: Callable[..., dict[str, Any]], name: str, fps: Fraction
) -> None:
    video = source(film(SHOTS, name, fps=fps, audio_codec="aac"))["video"]
    assert (video["frames"], video["variable_rate"]) == (120, False)
    assert video["fps"] == pytest.approx(float(fps), abs=1e-5)
    assert video["seconds"] == pytest.approx(120 / fps, abs=1e-4)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_variable_rate_is_noticed_and_its_mean_given(
    film: Callable[..., Path], source: Callable[..., dict[str, Any]], name: str
) -> None:
    video = source(film(SHOTS, name, steps=[1, 2] * 60))["video"]
    assert video["variable_rate"]
    assert video["fps"] == pytest.approx(16, abs=0.1)


def test_the_right_hash_is_accepted(film: Callable[..., Path], source: Callable[..., dict[str, Any]]) -> None:
    sha256 = hashlib.sha256(film(SHOTS).read_bytes()).hexdigest()
    assert source(film(SHOTS), sha256=sha256)["sha256"] == sha256


def test_an_altered_master_is_refused(film: Callable[..., Path], source: Callable[..., dict[str, Any]]) -> None:
    with pytest.raises(StageError, match=r"episode\.mp4: SHA-256 is \w{64}, expected 0{64}; the master was altered"):
        source(film(SHOTS), sha256="0" * 64)


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        *(("end.mp4", {}, kept) for kept in (0.1, 0.5, 0.99)),
        *(("start.mp4", {"movflags": "+faststart"}, kept) for kept in (0.1, 0.5, 0.99)),
        *(("a.mkv", {}, kept) for kept in (0.1, 0.5, 0.9)),
        *(("a.avi", {}, kept) for kept in (0.1, 0.5, 0.8)),
    ],
)
def test_a_master_cut_short_is_refused(
    film: Callable[..., Path],
    source: Callable[..., dict[str, Any]],
    tmp_path: Path,
    name: str,
    options: dict[str, str],
    kept: float,
) -> None:
    content = film(SHOTS, name, options=options, audio_codec="aac").read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(StageError, match=rf"{name}: .*(cut short|damaged)"):
        source(tmp_path / name)


def test_a_master_whose_end_does_not_decode_is_refused(
    film: Callable[..., Path], source: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    content = bytearray(film(SHOTS, options={"movflags": "+faststart"}).read_bytes())
    content[-3000:-200] = bytes(2800)
    (tmp_path / "damaged.mp4").write_bytes(content)
    with pytest.raises(StageError, match=r"damaged\.mp4: .*damaged"):
        source(tmp_path / "damaged.mp4")


@pytest.mark.parametrize(
    ("sound", "codec", "sentence"),
    [
        (None, "flac", "has no audio stream, the episode is silent"),
        ("silence", "flac", "nothing is heard in its audio stream 0, the episode is silent"),
        ("silence", "aac", "nothing is heard in its audio stream 0, the episode is silent"),
    ],
)
def test_a_silent_episode_is_refused(
    film: Callable[..., Path], source: Callable[..., dict[str, Any]], sound: str | None, codec: str, sentence: str
) -> None:
    with pytest.raises(StageError, match=rf"silent\.mp4: {sentence}"):
        source(film(SHOTS, "silent.mp4", sound=sound, audio_codec=codec))


NOTHING, DEFAULT, COMMENT = Disposition(0), Disposition.default, Disposition.comment


@pytest.mark.parametrize(
    ("streams", "language", "chosen"),
    [
        ([("fre", DEFAULT), ("eng", NOTHING)], "en", 1),
        ([("fre", DEFAULT), ("eng", NOTHING)], "fr", 0),
        ([("ger", DEFAULT), ("eng", NOTHING), ("eng", NOTHING)], "en", 1),
        ([("eng", NOTHING), ("eng", DEFAULT)], "en", 1),
        ([("eng", DEFAULT | COMMENT), ("eng", NOTHING)], "en", 1),
        ([("fre", DEFAULT), (None, NOTHING)], "en", 1),
        ([(None, NOTHING), (None, NOTHING)], "en", 0),
        ([("fre", DEFAULT)], "en", 0),
    ],
)
def test_the_episode_s_sound_is_the_one_in_its_language(
    film: Callable[..., Path],
    source: Callable[..., dict[str, Any]],
    tmp_path: Path,
    streams: list[tuple[str | None, Disposition]],
    language: str,
    chosen: int,
) -> None:
    sounds = [(film(SHOTS), *stream) for stream in streams]
    probe = source(join_sounds(tmp_path / "a.mkv", sounds), language=language)
    assert probe["sound_stream"] == chosen
    assert [stream["language"] for stream in probe["audio"]] == [said for said, _ in streams]


def test_several_sounds_in_other_languages_are_refused(
    film: Callable[..., Path], source: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    master = join_sounds(tmp_path / "a.mkv", [(film(SHOTS), "fre", DEFAULT), (film(SHOTS), "ger", NOTHING)])
    with pytest.raises(StageError, match=r"a\.mkv: its 2 audio streams are in fr, de, and the manifest says 'en'"):
        source(master)


def test_it_is_the_episode_s_own_sound_that_must_be_heard(
    film: Callable[..., Path], source: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    sounds = [(film(SHOTS), "fre", DEFAULT), (film(SHOTS, sound="silence"), "eng", NOTHING)]
    with pytest.raises(StageError, match=r"nothing is heard in its audio stream 1, the episode is silent"):
        source(join_sounds(tmp_path / "a.mkv", sounds))


def test_sound_without_a_picture_is_refused(source: Callable[..., dict[str, Any]], sound_file: Path) -> None:
    with pytest.raises(StageError, match=r"sound\.flac: has no video stream"):
        source(sound_file)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", r"is empty; copy the master again"), (b"no film" * 999, r"cannot be read as a film")],
)
def test_a_file_that_is_no_film_is_refused(
    source: Callable[..., dict[str, Any]], tmp_path: Path, content: bytes, sentence: str
) -> None:
    (tmp_path / "note.mp4").write_bytes(content)
    with pytest.raises(StageError, match=rf"note\.mp4: {sentence}"):
        source(tmp_path / "note.mp4")


def test_a_directory_and_a_missing_master_are_refused(source: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"is no file; expected a master"):
        source(tmp_path)
    with pytest.raises(StageError, match=r"none\.mp4: no such file or directory"):
        source(tmp_path / "none.mp4")
