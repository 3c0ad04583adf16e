"""Masters as they really arrive: each ends in one clear sentence or in the right clips, never in wrong ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from small_films import RATE, picture, read_numbers, tone
from test_clips import PARAMETERS, SHOTS_PARAMETERS

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stages import clips, shots, source

LENGTH = 60


def write(
    path: Path,
    size: tuple[int, int] = (128, 96),
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    sound_seconds: float = LENGTH / 24,
    streams: int = 1,
    rotation: int = 0,
) -> Path:
    """Write a film of 60 frames in two shots that carry their numbers."""
    with av.open(str(path), "w") as container:
        pictures = []
        for _ in range(streams):
            video = container.add_stream("libx264", rate=24)
            video.width, video.height, video.pix_fmt = *size, pixels
            video.options = {"preset": "ultrafast", "crf": "10", **(options or {})}
            video.codec_context.time_base = Fraction(1, 24)
            pictures.append(video)
        audio = container.add_stream("flac", rate=RATE)
        audio.layout = "stereo"
        samples = tone(round(sound_seconds * RATE))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), "s16", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        for packet in (*audio.encode(frame), *audio.encode(None)):
            container.mux(packet)
        for video in pictures:
            for number in range(LENGTH):
                shown = av.VideoFrame.from_ndarray(picture("moving", number // 30, number, *size), "rgb24")
                shown.pts, shown.time_base = number, Fraction(1, 24)
                for packet in video.encode(shown):
                    container.mux(packet)
            for packet in video.encode(None):
                container.mux(packet)
    if rotation:
        content = bytearray(path.read_bytes())
        # The picture's place in the film: the matrix of 16.16 numbers in its track header, here the first track.
        at = content.index(b"tkhd") + 4 + 40
        quarter = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1)}[rotation]
        for place, value in zip((0, 4, 12, 16), quarter, strict=True):
            content[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
        path.write_bytes(content)
    return path


@pytest.fixture
def cut(run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]) -> Callable[[Path], Path]:
    """Return a function that takes a master through all stages and gives its clips."""

    def run(master: Path) -> Path:
        inputs: dict[str, Any] = probed(master)
        inputs["shots"] = run_stage(shots.STAGE, inputs, SHOTS_PARAMETERS)
        return run_stage(clips.STAGE, inputs, PARAMETERS)

    return run


def test_an_interlaced_master_is_refused(tmp_path: Path, probed: Callable[[Path], Any]) -> None:
    master = write(tmp_path / "fields.mp4", options={"x264-params": "tff=1:interlaced=1"})
    with pytest.raises(
        StageError, match=r"fields\.mp4: is interlaced, two moments in each frame; give the progressive"
    ):
        probed(master)


@pytest.mark.parametrize("rotation", [90, 180])
def test_a_turned_master_is_refused(tmp_path: Path, probed: Callable[[Path], Any], rotation: int) -> None:
    master = write(tmp_path / "turned.mp4", rotation=rotation)
    with pytest.raises(StageError, match=r"turned\.mp4: is stored turned by \d+ degrees"):
        probed(master)


def test_several_pictures_are_refused(tmp_path: Path, probed: Callable[[Path], Any]) -> None:
    with pytest.raises(StageError, match=r"double\.mp4: has 2 video streams \(128x96, 128x96\)"):
        probed(write(tmp_path / "double.mp4", streams=2))


@pytest.mark.parametrize("size", [(129, 97), (131, 96), (128, 99)])
def test_an_odd_size_is_cut_to_an_even_one(tmp_path: Path, cut: Callable[[Path], Path], size: tuple[int, int]) -> None:
    out = cut(write(tmp_path / "odd.mkv", size=size, pixels="yuv444p"))
    rows = read_json(out / "clips.json")["clips"]
    assert [row["frames"] for row in rows] == [25, 25]
    with av.open(str(out / rows[0]["file"])) as container:
        frames = list(container.decode(video=0))
    assert {(frame.width, frame.height, frame.format.name) for frame in frames} == {(128, 96, "yuv420p")}


@pytest.mark.parametrize("seconds", [4.0, 30.0])
def test_sound_longer_than_the_picture_changes_no_clip(
    tmp_path: Path, cut: Callable[[Path], Path], seconds: float
) -> None:
    out = cut(write(tmp_path / "long.mkv", sound_seconds=seconds))
    found = read_json(out / "clips.json")
    assert found["frames"] == LENGTH
    for row in found["clips"]:
        assert read_numbers(out / row["file"]) == list(range(row["start"], row["end"]))


def test_a_wrong_ending_is_read_by_its_content(tmp_path: Path, cut: Callable[[Path], Path]) -> None:
    shutil.move(write(tmp_path / "film.mkv"), tmp_path / "film.mp4")
    out = cut(tmp_path / "film.mp4")
    assert [row["frames"] for row in read_json(out / "clips.json")["clips"]] == [25, 25]


def test_a_name_in_another_script_is_a_name(tmp_path: Path, cut: Callable[[Path], Path]) -> None:
    out = cut(write(tmp_path / "L'été des écureuils — 夏.mp4"))
    assert len(read_json(out / "clips.json")["clips"]) == 2


def test_a_master_that_may_not_be_read_is_refused(
    tmp_path: Path, run_stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    master = write(tmp_path / "locked.mp4")

    # The tests may run as root, who may read everything.
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(source, "file_hash", refuse)
    parameters = {"episode": "e", "title": "E", "language": "en", "licence": "CC-BY-3.0", "sha256": None}
    with pytest.raises(StageError, match=r"locked\.mp4: may not be read \(Permission denied\)"):
        run_stage(source.STAGE, {"master": master}, parameters)
