"""What one can rely on of the clips stage: each clip is exactly the frames that clips.json names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from small_films import read_number, read_numbers

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.media.frames import cover_and_crop, open_media, video_stream
from reelgraph.stages import shots as shots_stage
from reelgraph.stages.clips import STAGE

SHOTS_PARAMETERS = {
    "adaptive_threshold": 3.0,
    "min_scene_frames": 8,
    "window_width": 2,
    "min_content_value": 15.0,
    "network_threshold": 0.5,
    "black_luma": 10,
}
PARAMETERS = {
    "fps": 24,
    "width": 128,
    "height": 96,
    "frame_counts": [17, 25, 33, 49],
    "trim_frames": 2,
    "black_luma": 10,
    "repeat_change": 0.1,
    "still_share": 0.95,
    "text_boxes": 5,
    "text_area": 0.05,
    "tag_repeats": 0.8,
    "tag_blur_percentile": 5,
    "crf": 10,
    "preset": "ultrafast",
}
EPISODE = [("moving", 70), ("moving", 12), ("black", 20), ("still", 30), ("moving", 45)]


@pytest.fixture
def prepared(
    run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]
) -> Callable[[Path], dict[str, Path]]:
    """Return a function that gives the stage's inputs for a master."""

    def prepare(master: Path) -> dict[str, Path]:
        inputs = probed(master)
        return {**inputs, "shots": run_stage(shots_stage.STAGE, inputs, SHOTS_PARAMETERS)}

    return prepare


@pytest.fixture
def clips(run_stage: Callable[..., Path], prepared: Callable[[Path], dict[str, Path]]) -> Callable[..., Path]:
    """Return a function that cuts a master into clips and gives the output directory."""

    def run(master: Path, **changes: Any) -> Path:
        return run_stage(STAGE, prepared(master), {**PARAMETERS, **changes})

    return run


def test_each_clip_has_exactly_the_frames_it_names_and_no_neighbour(
    film: Callable[..., Path], clips: Callable[..., Path]
) -> None:
    out = clips(film(EPISODE))
    rows = read_json(out / "clips.json")["clips"]
    assert [(row["start"], row["frames"], row["shot"]) for row in rows] == [(0, 49, 0), (49, 17, 0), (134, 33, 4)]
    for row in rows:
        assert read_numbers(out / row["file"]) == list(range(row["start"], row["end"]))


def test_every_frame_is_in_one_clip_or_rejected_by_a_named_rule(
    film: Callable[..., Path], clips: Callable[..., Path]
) -> None:
    found = read_json(clips(film(EPISODE)) / "clips.json")
    pieces = sorted((piece["start"], piece["end"]) for piece in (*found["clips"], *found["rejects"]))
    assert [start for start, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == found["frames"] == 177
    assert [(reject["start"], reject["rule"]) for reject in found["rejects"]] == [
        (66, "remainder"),
        (68, "trim"),
        (70, "trim"),
        (72, "too-short"),
        (80, "trim"),
        (82, "trim"),
        (84, "black"),
        (100, "trim"),
        (102, "trim"),
        (104, "still"),
        (130, "trim"),
        (132, "trim"),
        (167, "remainder"),
    ]


def test_the_first_frame_is_the_clips_own(film: Callable[..., Path], clips: Callable[..., Path]) -> None:
    out = clips(film(EPISODE))
    for row in read_json(out / "clips.json")["clips"]:
        with av.open(str(out / row["file"])) as container:
            shown = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
        written = np.asarray(Image.open(out / row["first_frame"]).convert("RGB")).astype(int)
        assert written.shape == (96, 128, 3)
        assert np.abs(written - shown).mean() < 4  # two ways to interpolate the same colours
        assert read_numbers(out / row["first_frame"]) == [row["start"]]


def test_clips_are_what_trainers_read(film: Callable[..., Path], clips: Callable[..., Path]) -> None:
    out = clips(film(EPISODE), width=64, height=96)
    for row in read_json(out / "clips.json")["clips"]:
        with av.open(str(out / row["file"])) as container:
            stream = container.streams.video[0]
            told = (stream.codec_context.name, stream.pix_fmt, stream.width, stream.height, stream.average_rate)
            assert told == ("h264", "yuv420p", 64, 96, 24)
            assert (stream.frames, stream.start_time, stream.codec_context.has_b_frames) == (row["frames"], 0, False)
            assert [frame.pts * stream.time_base for frame in container.decode(stream)] == [
                Fraction(number, 24) for number in range(row["frames"])
            ]
            assert row["frames"] % 8 == 1
        assert not container.streams.audio


def test_the_name_of_a_clip_is_its_content(film: Callable[..., Path], clips: Callable[..., Path]) -> None:
    master = film(EPISODE)
    row = read_json(clips(master) / "clips.json")["clips"][1]
    name = f"{hashlib.sha256(master.read_bytes()).hexdigest()[:12]}-000049-000066"
    assert (row["id"], row["file"], row["first_frame"]) == (name, f"clips/{name}.mp4", f"first_frames/{name}.png")


def test_same_inputs_give_the_same_bytes(film: Callable[..., Path], clips: Callable[..., Path]) -> None:
    # stage.json holds the hash of every file.
    first, second = clips(film(EPISODE)), clips(film(EPISODE))
    assert (first / "stage.json").read_bytes() == (second / "stage.json").read_bytes()


@pytest.mark.parametrize(
    ("source", "fps", "shown"),
    [
        (Fraction(25), 25, list(range(25))),
        (Fraction(24000, 1001), 24, list(range(25))),
        (
            Fraction(24),
            16,
            [0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23, 24, 26, 27, 29, 30, 32, 33, 35, 36],
        ),
        (Fraction(12), 24, [number // 2 for number in range(25)]),
    ],
)
def test_another_rate_shows_the_nearest_frames_at_their_own_time(
    film: Callable[..., Path], clips: Callable[..., Path], source: Fraction, fps: int, shown: list[int]
) -> None:
    out = clips(film([("moving", 37)], fps=source), fps=fps, frame_counts=[25])
    row = read_json(out / "clips.json")["clips"][0]
    assert read_numbers(out / row["file"]) == shown
    assert (row["start"], row["end"], row["frames"]) == (0, shown[-1] + 1, 25)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_variable_rate_is_sampled_by_time(film: Callable[..., Path], clips: Callable[..., Path], name: str) -> None:
    out = clips(film([("moving", 30)], name, steps=[1, 3] * 15), frame_counts=[25])
    row = read_json(out / "clips.json")["clips"][0]
    assert read_numbers(out / row["file"])[:9] == [0, 1, 1, 1, 2, 3, 3, 3, 4]


@pytest.mark.parametrize(
    ("size", "pixel", "expected"),
    [
        ((1280, 720), Fraction(1), "1200:720:40:0"),
        ((640, 480), Fraction(1), "640:384:0:48"),
        ((720, 576), Fraction(16, 15), "720:460:0:58"),
        ((720, 576), Fraction(64, 45), "674:576:22:0"),
        ((853, 480), Fraction(1), "800:480:26:0"),
    ],
)
def test_the_middle_of_the_picture_is_kept_in_its_shape(size: tuple[int, int], pixel: Fraction, expected: str) -> None:
    stream = type("Stream", (), {"width": size[0], "height": size[1], "sample_aspect_ratio": pixel})
    assert cover_and_crop(stream, 320, 192)[0] == ("crop", expected)


def test_a_wider_master_is_cropped_in_the_middle(film: Callable[..., Path], clips: Callable[..., Path]) -> None:
    out = clips(film([("moving", 30)], size=(192, 96)))
    row = read_json(out / "clips.json")["clips"][0]
    assert read_numbers(out / row["file"]) == list(range(25))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"width": 100}, "width: 100 is not a multiple of 32"),
        ({"height": 97}, "height: 97 is not a multiple of 32"),
        ({"frame_counts": [17, 24]}, r"frame_counts: 24 is not 8n \+ 1"),
        ({"frame_counts": [25, 17]}, r"frame_counts: \[25, 17\] do not ascend"),
        ({"frame_counts": []}, "parameters: frame_counts: "),
        ({"still_share": 2}, "parameters: still_share: 2 is greater than the maximum of 1"),
        (
            {"frame_counts": [81]},
            r"episode\.mp4: no clip survives \(frames: too-short 119, still 26, trim 16, black 16\); loosen",
        ),
    ],
)
def test_a_wrong_parameter_is_told_in_a_sentence(
    film: Callable[..., Path], clips: Callable[..., Path], changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(StageError, match=sentence):
        clips(film(EPISODE), **changes)


def test_shots_of_another_film_are_refused(
    film: Callable[..., Path], run_stage: Callable[..., Path], prepared: Callable[[Path], dict[str, Path]]
) -> None:
    inputs = {**prepared(film(EPISODE)), "shots": prepared(film([("moving", 60)]))["shots"]}
    with pytest.raises(StageError, match=r"episode\.mp4: has 177 frames, but its shots cover 60"):
        run_stage(STAGE, inputs, PARAMETERS)


@pytest.mark.parametrize("change", [{"start": 1}, {"end": 100}])
def test_shots_that_leave_frames_out_are_refused(
    film: Callable[..., Path],
    run_stage: Callable[..., Path],
    prepared: Callable[[Path], dict[str, Path]],
    change: dict[str, int],
) -> None:
    inputs = prepared(film(EPISODE))
    found = read_json(inputs["shots"] / "shots.json")
    found["shots"][0].update(change)
    write_json(inputs["shots"] / "shots.json", found)
    with pytest.raises(StageError, match=r"shots\.json: its shots do not tile frames 0 to 177"):
        run_stage(STAGE, inputs, PARAMETERS)


def test_a_master_that_ends_early_is_refused(
    film: Callable[..., Path],
    run_stage: Callable[..., Path],
    prepared: Callable[[Path], dict[str, Path]],
    tmp_path: Path,
) -> None:
    content = film(EPISODE, options={"movflags": "+faststart"}).read_bytes()
    (tmp_path / "master.mp4").write_bytes(content)
    inputs = prepared(tmp_path / "master.mp4")
    (tmp_path / "master.mp4").write_bytes(content[: len(content) // 2])
    with pytest.raises(StageError, match=r"master\.mp4: has 177 frames"):
        run_stage(STAGE, inputs, PARAMETERS)


def test_pictures_keep_their_colours(film: Callable[..., Path], clips: Callable[..., Path]) -> None:
    master = film([("moving", 30)])
    out = clips(master)
    row = read_json(out / "clips.json")["clips"][0]
    with open_media(master) as whole, open_media(out / row["file"]) as clip:
        before = next(whole.decode(video_stream(whole, master)))
        after = next(clip.decode(video=0))
        assert read_number(before) == read_number(after) == 0
        difference = before.to_ndarray(format="rgb24").astype(int) - after.to_ndarray(format="rgb24")
    assert np.abs(difference).mean() < 3
