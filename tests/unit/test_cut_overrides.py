"""What one can rely on of a person's corrections: they win over every rule, and never touch another master."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_films import read_numbers
from test_clips import EPISODE, PARAMETERS, SHOTS_PARAMETERS

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stages import clips, shots

Cut = Callable[..., tuple[dict[str, Any], dict[str, Any], Path]]


@pytest.fixture
def cut(
    film: Callable[..., Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]], tmp_path: Path
) -> Cut:
    """Return a function that cuts the episode with corrections and gives shots.json, clips.json and its directory."""

    def run(sha256: str | None = None, **corrections: Any) -> tuple[dict[str, Any], dict[str, Any], Path]:
        master = film(EPISODE)
        own = hashlib.sha256(master.read_bytes()).hexdigest()
        write_json(
            tmp_path / "cuts.json", {"sha256": sha256 or own, "boundaries": [], "keep": [], "drop": [], **corrections}
        )
        inputs: dict[str, Path] = {**probed(master), "overrides": tmp_path / "cuts.json"}
        found = run_stage(shots.STAGE, inputs, SHOTS_PARAMETERS)
        out = run_stage(clips.STAGE, {**inputs, "shots": found}, PARAMETERS)
        return read_json(found / "shots.json"), read_json(out / "clips.json"), out

    return run


def starts(found: dict[str, Any]) -> list[int]:
    return [shot["start"] for shot in found["shots"]]


def test_a_boundary_is_moved_removed_and_added(cut: Cut) -> None:
    assert starts(cut()[0]) == [0, 70, 82, 102, 132]
    moved, made, out = cut(
        boundaries=[
            {"frame": 70, "to": 68, "why": "one frame early"},
            {"frame": 82, "to": None, "why": "no shot starts here"},
            {"frame": None, "to": 150, "why": "not found"},
        ]
    )
    assert starts(moved) == [0, 68, 102, 132, 150]
    for row in made["clips"]:
        assert read_numbers(out / row["file"]) == list(range(row["start"], row["end"]))
        assert not any(row["start"] < start < row["end"] for start in starts(moved))


def test_dropped_frames_are_in_no_clip_and_say_why(cut: Cut) -> None:
    _, made, _ = cut(drop=[{"start": 20, "end": 40, "why": "a hair in the gate"}])
    assert not any(row["start"] < 40 and row["end"] > 20 for row in made["clips"])
    assert {"start": 20, "end": 40, "rule": "dropped-by-hand", "value": 20, "threshold": 0} in made["rejects"]


def test_kept_frames_pass_the_rules_about_pictures(cut: Cut) -> None:
    assert not any(row["shot"] == 3 for row in cut()[1]["clips"])
    _, made, _ = cut(keep=[{"start": 102, "end": 132, "why": "the stillness is wanted"}])
    (row,) = [row for row in made["clips"] if row["shot"] == 3]
    assert (row["start"], row["frames"], row["tags"]) == (104, 25, ["nearly-still"])


@pytest.mark.parametrize(
    ("corrections", "sentence"),
    [
        ({"sha256": "0" * 64}, r"cuts\.json: corrects the master 000000000000, but this one is"),
        ({"boundaries": [{"frame": 71, "to": 72, "why": "x"}]}, "no shot starts at frame 71, the nearest at 70"),
        ({"boundaries": [{"frame": 70, "to": 999, "why": "x"}]}, "a shot cannot start at frame 999 of 177"),
        ({"drop": [{"start": 9, "end": 9, "why": "x"}]}, "frames 9 to 9 are none"),
        ({"drop": [{"start": 9, "end": 178, "why": "x"}]}, "frames 9 to 178 are not all there; the film has 177"),
        ({"drop": [{"start": 9, "end": 12}]}, "'why' is a required property"),
        ({"boundaries": [{"frame": None, "to": None, "why": "x"}]}, "boundaries"),
    ],
)
def test_a_correction_that_cannot_be_meant_is_refused(cut: Cut, corrections: dict[str, Any], sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        cut(**corrections)
