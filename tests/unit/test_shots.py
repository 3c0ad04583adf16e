"""What one can rely on of the shots stage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stages.shots import STAGE, Parameters, measure

PARAMETERS = {
    "adaptive_threshold": 3.0,
    "min_scene_frames": 8,
    "window_width": 2,
    "min_content_value": 15.0,
    "network_threshold": 0.5,
    "black_luma": 10,
}


@pytest.fixture
def shots(run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]) -> Callable[..., Path]:
    """Return a function that finds the shots of a master and gives the output directory."""

    def run(master: Path, **changes: Any) -> Path:
        return run_stage(STAGE, probed(master), {**PARAMETERS, **changes})

    return run


def bounds(out: Path) -> list[tuple[int, int]]:
    return [(shot["start"], shot["end"]) for shot in read_json(out / "shots.json")["shots"]]


def tiles(lengths: list[int]) -> list[tuple[int, int]]:
    return list(pairwise(np.cumsum([0, *lengths]).tolist()))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_every_cut_is_found_on_its_frame(film: Callable[..., Path], shots: Callable[..., Path], name: str) -> None:
    lengths = [30, 9, 41, 26, 12, 33]
    out = shots(film([("moving", length) for length in lengths], name))
    assert bounds(out) == tiles(lengths)


def test_a_film_without_a_cut_is_one_shot(film: Callable[..., Path], shots: Callable[..., Path]) -> None:
    found = read_json(shots(film([("moving", 50)])) / "shots.json")
    assert found == {
        "fps": 24.0,
        "frames": 50,
        "shots": [{"start": 0, "end": 50, "score": None}],
        "transitions": [],
    }


def test_a_cut_just_before_the_end_is_found(film: Callable[..., Path], shots: Callable[..., Path]) -> None:
    assert bounds(shots(film([("moving", 40), ("moving", 1)]))) == [(0, 40), (40, 41)]


def test_the_score_says_how_clear_a_cut_is(film: Callable[..., Path], shots: Callable[..., Path]) -> None:
    first, second = read_json(shots(film([("moving", 40), ("moving", 40)])) / "shots.json")["shots"]
    assert first["score"] is None
    assert second["score"] > PARAMETERS["adaptive_threshold"]


def test_a_higher_threshold_finds_no_more(film: Callable[..., Path], shots: Callable[..., Path]) -> None:
    master = film([("moving", 40), ("moving", 40)])
    assert bounds(shots(master, min_content_value=255)) == [(0, 80)]


def test_every_frame_is_measured(film: Callable[..., Path], shots: Callable[..., Path]) -> None:
    measured = read_json(shots(film([("moving", 30), ("black", 20), ("still", 30)])) / "frames.json")
    assert {len(values) for values in measured.values()} == {80}
    assert max(measured["luma"][30:50]) < 2 < min(measured["luma"][:30])
    assert max(measured["change"][51:80]) < 0.1 < min(measured["change"][1:30])


def test_same_master_gives_the_same_bytes(film: Callable[..., Path], shots: Callable[..., Path]) -> None:
    master = film([("moving", 40), ("moving", 40)])
    first, second = shots(master), shots(master)
    for name in ("shots.json", "frames.json", "stage.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("size", [(160, 90), (90, 160), (320, 128), (720, 576)])
def test_any_size_is_looked_at(film: Callable[..., Path], shots: Callable[..., Path], size: tuple[int, int]) -> None:
    assert bounds(shots(film([("moving", 20), ("moving", 20)], size=size))) == [(0, 20), (20, 40)]


def test_a_master_damaged_in_the_middle_is_refused(
    film: Callable[..., Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]], tmp_path: Path
) -> None:
    master = tmp_path / "damaged.mp4"
    shutil.copyfile(film([("moving", 300)]), master)
    inputs = probed(master)
    content = bytearray(master.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    master.write_bytes(content)
    with pytest.raises(StageError, match=r"damaged\.mp4: .*(damaged|cut short)"):
        run_stage(STAGE, inputs, PARAMETERS)


def test_another_master_than_described_is_refused(
    film: Callable[..., Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]
) -> None:
    inputs = {**probed(film([("moving", 50)])), "master": film([("moving", 40)], "other.mp4")}
    with pytest.raises(StageError, match=r"other\.mp4: decodes to 40 frames, but has 50"):
        run_stage(STAGE, inputs, PARAMETERS)


def test_a_wrong_parameter_is_told_by_its_name(film: Callable[..., Path], shots: Callable[..., Path]) -> None:
    with pytest.raises(StageError, match="window_width: 0 is less than the minimum of 1"):
        shots(film([("moving", 50)]), window_width=0)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=40), st.integers(1, 4), st.integers(1, 10))
def test_cuts_lie_inside_the_film_in_order_and_apart(greys: list[int], window: int, apart: int) -> None:
    pictures = (np.full((4, 4, 3), grey, np.uint8) for grey in greys)
    found = measure(pictures, 24.0, Parameters(3.0, apart, window, 15.0, 0.5, 10))
    assert len(found.content) == len(found.luma) == len(found.change) == len(greys)
    assert all(after - before >= apart for before, after in pairwise([0, *found.cuts]))
    assert all(0 < cut < len(greys) for cut in found.cuts)
