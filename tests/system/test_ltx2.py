"""`./nixw build .#ltx2-smoke`: what one has in hand, and that a killed build ends in the same bytes elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from real_nix import Finished, build_and_kill, clean_store, nixw, output_paths
from safetensors import safe_open

EPISODE = "big-buck-bunny-excerpt"
# What Wan2.2's smoke job is made of too; tests/system/test_reproducible.py builds that again.
STAGES = ("master", "source", "shots", "clips", "bootstrap", "transcript-base", "transcript-disambiguate")
STAGES += ("shot-reference", "scene-context", "caption", "reviewed")
SHARED = ["smoke-ltx2.bible", *(f"smoke-ltx2.episodes.{EPISODE}.{stage}" for stage in STAGES)]
ENVIRONMENTS = [f"lib.x86_64-linux.python.environments.{name}" for name in ("ltx2", "media", "report", "runner")]
ENVIRONMENTS += [f"lib.x86_64-linux.python.environments.{name}" for name in ("train", "vlm", "asr")]
SIGN = "/ltx2-train segment 1, step "


@pytest.fixture(scope="module")
def ltx2_smoke() -> Path:
    """The built .#ltx2-smoke."""
    return Path(output_paths(["ltx2-smoke"])[0])


def test_the_checkpoint_is_a_lora_of_picture_and_sound_with_its_origin_in_it(ltx2_smoke: Path) -> None:
    with safe_open(ltx2_smoke / "checkpoint/lora.safetensors", "pt") as file:
        names, metadata = list(file.keys()), file.metadata()
        learnt = [name for name in names if "lora_B" in name and file.get_tensor(name).abs().max() > 0]
    assert any("audio_attn1" in name for name in learnt) and any(".attn1" in name for name in learnt)
    assert metadata["modelspec.architecture"] == "LTX-2/lora"
    assert metadata["reelgraph.base_model"] == "ltx2-tiny" and metadata["reelgraph.profile"] == "exact"


def test_the_samples_have_sound(ltx2_smoke: Path) -> None:
    kinds = {"text-to-video", "image-to-video"}
    samples = json.loads((ltx2_smoke / "samples/samples.json").read_text())["samples"]
    assert {sample["kind"] for sample in samples} == kinds
    for sample in samples:
        with av.open(str(ltx2_smoke / "samples" / sample["file"])) as container:
            assert container.streams.audio[0].layout.name == "stereo"
            assert sum(1 for _ in container.decode(video=0)) == sample["frames"]


def test_provenance_leads_from_the_checkpoint_to_the_film(ltx2_smoke: Path) -> None:
    stages = {stage["stage"] for stage in json.loads((ltx2_smoke / "provenance.json").read_text())["stages"]}
    assert {"excerpt", "clips", "clip-sound", "reviewed", "ltx2-data", "ltx2-train", "checkpoint"} <= stages


def test_ids_and_captions_are_those_of_the_wan_package(ltx2_smoke: Path) -> None:
    # One call each: Nix lists several outputs in an order of its own.
    wan, ltx = (Path(output_paths([name])[0]) for name in ("smoke.dataset.wan22", "smoke-ltx2.dataset.ltx2"))
    rows = [json.loads((path / "metadata.json").read_text()) for path in (wan, ltx)]
    assert rows[0] == rows[1]
    lines = [json.loads(line) for line in (ltx / "dataset.jsonl").read_text().splitlines()]
    assert lines == [{"video": row["video"], "caption": row["prompt"]} for row in rows[0]]


def test_a_second_build_builds_nothing(ltx2_smoke: Path) -> None:
    again = nixw("build", "--no-link", ".#ltx2-smoke")
    assert (again.status, again.built_stages) == (0, [])


@pytest.fixture(scope="module")
def killed_and_resumed(ltx2_smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Finished]]:
    """A clean store in which the build was killed during the second segment, and then asked for again."""
    with clean_store(tmp_path_factory.mktemp("store"), [*ENVIRONMENTS, *SHARED]) as store:
        build_and_kill(".#ltx2-smoke", store, SIGN)
        yield store, nixw("build", "--no-link", "-L", "--store", store, ".#ltx2-smoke")


def test_killed_training_repeats_only_the_unfinished_segment(killed_and_resumed: tuple[Path, Finished]) -> None:
    _, resumed = killed_and_resumed
    assert resumed.status == 0, resumed.log[-3000:]
    trained = [name for name in resumed.built_stages if name.endswith("ltx2-train")]
    assert trained == [f"smoke-ltx2-segment-{number}-ltx2-train" for number in (1, 2)]
    assert not [name for name in resumed.built_stages if name.endswith(("latents", "ltx2-text", "plan", "ltx2-data"))]


def test_killed_training_in_a_clean_store_ends_in_the_same_bytes(killed_and_resumed: tuple[Path, Finished]) -> None:
    store, _ = killed_and_resumed
    names = json.loads(nixw("eval", "--json", ".#smoke-ltx2.stages", "--apply", "builtins.attrNames").output)
    attributes = [f'smoke-ltx2.stages."{name}"' for name in names if "ltx2" in name or "sound" in name]
    assert len(attributes) > 15
    assert sorted(output_paths(attributes)) == sorted(output_paths(attributes, store=store))
