"""The same bytes in a clean store, under a newer Nix, after a kill; and only what an edit reaches is built again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_nix import Finished, build_and_kill, clean_store, nixw, output_paths

# What is copied and not made twice.
GIVEN = [
    f"lib.x86_64-linux.python.environments.{name}" for name in ("asr", "media", "report", "runner", "train", "vlm")
]
GIVEN += ["lib.x86_64-linux.materials.film", "lib.x86_64-linux.materials.speech"]


@pytest.fixture(scope="module")
def killed_and_resumed(
    smoke: Path, newer_nix: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Finished]]:
    """A clean store in which a newer Nix was killed during the second segment and then built the smoke job again."""
    with clean_store(tmp_path_factory.mktemp("store"), GIVEN) as store:
        log = build_and_kill(".#wan22-smoke", store, "/wan22-train segment 1, step ", nix=newer_nix)
        assert "wan22-train segment 1, step" in log.splitlines()[-1], log[-3000:]
        yield store, nixw("build", "--no-link", "-L", "--store", store, ".#wan22-smoke", nix=newer_nix)


def test_killed_training_repeats_only_the_unfinished_segment(killed_and_resumed: tuple[Path, Finished]) -> None:
    _, resumed = killed_and_resumed
    assert resumed.status == 0, resumed.log[-3000:]
    segments = [name for name in resumed.built_stages if "segment" in name]
    assert segments == ["smoke-segment-1-wan22-train", "smoke-segment-2-wan22-train"]
    assert not [name for name in resumed.built_stages if name.endswith(("clips", "latents", "plan"))]


def test_killed_training_in_a_clean_store_under_a_newer_nix_ends_in_the_same_bytes(
    killed_and_resumed: tuple[Path, Finished], newer_nix: Path
) -> None:
    store, _ = killed_and_resumed
    names = json.loads(nixw("eval", "--json", ".#smoke.stages", "--apply", "builtins.attrNames").output)
    attributes = [f'smoke.stages."{name}"' for name in names]
    # The names are in the paths; a newer Nix lists them in another order.
    here, there = output_paths(attributes), output_paths(attributes, store=store, nix=newer_nix)
    assert len(here) == len(names)
    assert sorted(here) == sorted(there)


def test_a_comment_in_a_stage_is_cut_off_after_that_stage(smoke: Path, checkout: Path) -> None:
    script = checkout / "python/reelgraph/stages/shots.py"
    script.write_text(script.read_text() + f"\n# {os.urandom(8).hex()}\n")
    finished = nixw("build", "--no-link", "-L", f"path:{checkout}#wan22-smoke")
    assert finished.status == 0, finished.log[-3000:]
    assert finished.built_stages == ["big-buck-bunny-excerpt-shots"]
