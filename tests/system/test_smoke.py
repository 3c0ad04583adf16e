"""`./nixw build .#wan22-smoke`: what a person has in hand afterwards, and what a second call does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from real_nix import ROOT, nixw, output_paths
from safetensors import safe_open


def test_the_checkpoint_is_a_lora_with_its_origin_in_it(smoke: Path) -> None:
    with safe_open(smoke / "checkpoint/lora.safetensors", "pt") as file:
        names, metadata = list(file.keys()), file.metadata()
        assert all("lora_A" in name or "lora_B" in name for name in names)
        assert any(file.get_tensor(name).abs().max() > 0 for name in names if "lora_B" in name)
    assert metadata


def test_report_and_samples_are_there(smoke: Path) -> None:
    assert "Big Buck Bunny" in (smoke / "index.html").read_text()
    kinds = {path.suffix for path in (smoke / "samples").iterdir()}
    assert {".png", ".mp4"} <= kinds


def test_provenance_leads_from_the_checkpoint_to_the_film(smoke: Path) -> None:
    provenance = json.loads((smoke / "provenance.json").read_text())
    made_by = {stage["content"]: stage for stage in provenance["stages"]}
    # A master is one file of the stage that cut it.
    made_by |= {content: stage for stage in provenance["stages"] for content in stage["files"].values()}
    reached, pending = set(), [stage for stage in provenance["stages"] if stage["stage"] == "checkpoint"]
    while pending:
        stage = pending.pop()
        reached.add(stage["stage"])
        for hashes in stage["inputs"].values():
            for content in hashes.values() if isinstance(hashes, dict) else [hashes]:
                if content in made_by and made_by[content]["stage"] not in reached:
                    pending.append(made_by[content])
    assert {"excerpt", "clips", "reviewed", "wan22-train", "wan22-package"} <= reached


def test_a_second_build_builds_nothing(smoke: Path) -> None:
    again = nixw("build", "--no-link", ".#wan22-smoke")
    assert (again.status, again.built_stages) == (0, [])


@pytest.mark.parametrize(
    "attribute",
    [
        "smoke.episodes.big-buck-bunny-excerpt.clips",
        "smoke.dataset.wan22",
        "smoke.latents",
        "smoke.segments.0",
        "smoke.checkpoint",
        "smoke.samples",
        "smoke.report",
    ],
)
def test_stages_build_by_name(smoke: Path, attribute: str) -> None:
    assert Path(output_paths([attribute])[0]).is_dir()


def test_the_lock_is_accepted_without_a_network() -> None:
    finished = nixw("--offline", "flake", "metadata", "--no-update-lock-file", str(ROOT))
    assert finished.status == 0, finished.log
