"""The whole film: every cut found, slow changes told from cuts, every frame accounted for, no neighbour's frame.

    PYTHONPATH=python python -m pytest tests/bench/test_film.py

Ten minutes on two cores where nothing is built yet, so the suite leaves it out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from film_cuts import CUTS, FRAMES, GRADUAL, TOLERANCE
from real_nix import output_paths


@pytest.fixture(scope="module")
def film() -> tuple[dict[str, Any], dict[str, Any], Path]:
    """shots.json, clips.json and the clips of the whole film."""
    shots, clips = (Path(output_paths([f"film.episodes.big-buck-bunny.{stage}"])[0]) for stage in ("shots", "clips"))
    return json.loads((shots / "shots.json").read_text()), json.loads((clips / "clips.json").read_text()), clips


def test_every_cut_of_the_film_is_found(film: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    found = [change["frame"] for change in film[0]["transitions"] if change["kind"] == "cut"]
    hits = [cut for cut in CUTS if any(abs(cut - frame) <= TOLERANCE for frame in found)]
    right = [frame for frame in found if any(abs(cut - frame) <= TOLERANCE for cut in CUTS)]
    recall, precision = len(hits) / len(CUTS), len(right) / len(found)
    print(f"recall {recall:.4f}, precision {precision:.4f}")
    assert recall == 1.0, sorted(set(CUTS) - set(hits))
    assert 2 * precision * recall / (precision + recall) >= 0.99, sorted(set(found) - set(right))


def test_slow_changes_are_their_own_kind(film: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    changes = film[0]["transitions"]
    for kind, spans in GRADUAL.items():
        for start, end in spans:
            assert any(
                change["kind"] == kind and change["start"] < end and start < change["end"] for change in changes
            ), (kind, start, end)


def test_every_frame_is_in_one_clip_or_rejected_by_a_rule(film: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    shots, cut, _ = film
    pieces = sorted((piece["start"], piece["end"]) for piece in (*cut["clips"], *cut["rejects"]))
    assert [start for start, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == cut["frames"] == shots["frames"] == FRAMES
    bounds = [(shot["start"], shot["end"]) for shot in shots["shots"]]
    assert [start for start, _ in bounds] == [0, *(end for _, end in bounds[:-1])] and bounds[-1][1] == FRAMES


def test_no_clip_holds_a_frame_of_a_neighbour(film: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    for clip in film[1]["clips"]:
        assert not any(clip["start"] < cut < clip["end"] for cut in CUTS), clip["id"]
        for spans in GRADUAL.values():
            assert not any(clip["start"] < end - 8 and start + 8 < clip["end"] for start, end in spans), clip["id"]


def test_titles_and_credits_are_in_no_clip(film: tuple[dict[str, Any], dict[str, Any], Path]) -> None:
    assert not any(clip["end"] > 494 and clip["start"] < 553 for clip in film[1]["clips"])
    assert not any(clip["end"] > 11760 and clip["start"] < 13918 for clip in film[1]["clips"])
    assert sum(reject["end"] - reject["start"] for reject in film[1]["rejects"] if reject["rule"] == "credits") > 2000
