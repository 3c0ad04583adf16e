"""What a reader of a bundle can rely on: files as their stages wrote them, hashes that lead back to the material."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reelgraph.errors import StageError
from reelgraph.files import content_hash, file_hash, read_json, tree_files, write_json
from reelgraph.stages.bundle import STAGE


def make_stage(
    directory: Path, stage: str, files: Mapping[str, str], parameters: Mapping[str, Any] | None = None, **inputs: Any
) -> Path:
    """Write files and the stage.json that the runner writes for them; inputs are paths or dictionaries of paths."""
    for file, text in files.items():
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).write_text(text, encoding="utf-8")
    hashes = {
        name: {key: content_hash(path) for key, path in value.items()}
        if isinstance(value, dict)
        else value and content_hash(value)
        for name, value in inputs.items()
    }
    record = {"stage": stage, "parameters": dict(parameters or {}), "inputs": hashes, "files": tree_files(directory)}
    write_json(directory / "stage.json", record)
    return directory


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Any]:
    """The inputs of a bundle over a run with two episodes cut out of one film, and two segments of training."""
    film, model = tmp_path / "film.tar.gz", tmp_path / "released"
    film.write_text("film", encoding="utf-8")
    model.mkdir()
    (model / "model.safetensors").write_text("weights", encoding="utf-8")
    provenance: dict[str, Path] = {}
    for episode in ("one", "two"):
        master = make_stage(
            tmp_path / episode / "master", "excerpt", {"episode.mp4": episode}, {"name": episode}, film=film
        )
        clips = make_stage(
            tmp_path / episode / "clips", "clips", {"clips/a.mp4": f"{episode} a"}, master=master / "episode.mp4"
        )
        provenance |= {f"{episode}/master": master, f"{episode}/clips": clips}
    both = {episode: provenance[f"{episode}/clips"] for episode in ("one", "two")}
    package = make_stage(tmp_path / "package", "wan22-package", {"metadata.json": "[]"}, clips=both)
    first = make_stage(
        tmp_path / "0", "wan22-train", {"state": "0"}, {"segment": 0}, package=package, model=model, previous=None
    )
    second = make_stage(
        tmp_path / "1", "wan22-train", {"state": "1"}, {"segment": 1}, package=package, model=model, previous=first
    )
    segments = {"00": first, "01": second}
    checkpoint = make_stage(
        tmp_path / "checkpoint",
        "checkpoint",
        {"lora.safetensors": "lora", "loss.jsonl": "{}"},
        segments=segments,
        model=model,
    )
    samples = make_stage(
        tmp_path / "samples", "samples", {"samples.json": "{}", "videos/0.mp4": "video"}, checkpoint=checkpoint
    )
    report = make_stage(
        tmp_path / "report", "report", {"index.html": "<!doctype html>"}, samples=samples, checkpoint=checkpoint
    )
    ends = {"checkpoint": checkpoint, "samples": samples, "report": report}
    named = {f"dataset/{name}": path for name, path in {**ends, "package": package}.items()}
    return {**ends, "provenance": {**provenance, **named, "segment/00": first, "segment/01": second}}


def bundle(run: Mapping[str, Any], out: Path) -> Path:
    out.mkdir()
    STAGE.execute(run, {}, out)
    return out


def test_bundle_holds_checkpoint_samples_and_report_as_their_stages_wrote_them(
    run: dict[str, Any], tmp_path: Path
) -> None:
    out = bundle(run, tmp_path / "out")
    assert sorted(tree_files(out)) == [
        "checkpoint/lora.safetensors",
        "checkpoint/loss.jsonl",
        "index.html",
        "provenance.json",
        "samples/samples.json",
        "samples/videos/0.mp4",
    ]
    assert file_hash(out / "checkpoint/lora.safetensors") == file_hash(run["checkpoint"] / "lora.safetensors")
    assert file_hash(out / "index.html") == file_hash(run["report"] / "index.html")


def test_reader_can_follow_every_hash_from_the_checkpoint_to_the_material(run: dict[str, Any], tmp_path: Path) -> None:
    out = bundle(run, tmp_path / "out")
    provenance = read_json(out / "provenance.json")
    stages = {stage["content"]: stage for stage in provenance["stages"]}
    materials = {(material["input"], material["content"]) for material in provenance["materials"]}
    for content, stage in stages.items():
        assert content == f"sha256:{hashlib.sha256(json.dumps(stage['files'], sort_keys=True).encode()).hexdigest()}"
        for name, value in stage["inputs"].items():
            for read in value.values() if isinstance(value, dict) else [value]:
                assert read is None or read in stages or (name, read) in materials
    lora = stages[provenance["checkpoint"]]["files"]["lora.safetensors"]
    assert lora == file_hash(out / "checkpoint/lora.safetensors")


def test_materials_are_listed_with_who_reads_them_and_what_made_them(run: dict[str, Any], tmp_path: Path) -> None:
    materials = read_json(bundle(run, tmp_path / "out") / "provenance.json")["materials"]
    found = [(material["input"], material["from"], material["stages"]) for material in materials]
    assert sorted(found, key=str) == [
        ("film", None, ["one/master", "two/master"]),
        ("master", "one/master/episode.mp4", ["one/clips"]),
        ("master", "two/master/episode.mp4", ["two/clips"]),
        ("model", None, ["dataset/checkpoint", "segment/00", "segment/01"]),
    ]


def test_same_inputs_give_the_same_bytes(run: dict[str, Any], tmp_path: Path) -> None:
    one, other = bundle(run, tmp_path / "one-out"), bundle(run, tmp_path / "other-out")
    assert (one / "stage.json").read_bytes() == (other / "stage.json").read_bytes()
    assert tree_files(one) == tree_files(other)


@pytest.mark.parametrize("missing", ["segment/00", "dataset/package", "one/clips"])
def test_chain_with_a_missing_link_is_refused_by_name(run: dict[str, Any], tmp_path: Path, missing: str) -> None:
    name = {"segment/00": "segments", "dataset/package": "package", "one/clips": "clips"}[missing]
    del run["provenance"][missing]
    with pytest.raises(StageError, match=rf"its input '{name}' \(sha256:[0-9a-f]{{64}}\) is the output of no stage"):
        bundle(run, tmp_path / "out")


def test_end_of_the_chain_must_be_listed(run: dict[str, Any], tmp_path: Path) -> None:
    del run["provenance"]["dataset/report"]
    with pytest.raises(StageError, match="report: is not among the stages"):
        bundle(run, tmp_path / "out")


def test_file_that_changed_after_its_stage_is_refused_by_name(run: dict[str, Any], tmp_path: Path) -> None:
    (run["checkpoint"] / "lora.safetensors").write_text("other weights", encoding="utf-8")
    with pytest.raises(StageError, match=r"checkpoint: lora\.safetensors is not what its stage\.json says"):
        bundle(run, tmp_path / "out")


def test_file_that_is_gone_is_named(run: dict[str, Any], tmp_path: Path) -> None:
    (run["report"] / "index.html").unlink()
    with pytest.raises(StageError, match=r"report: index\.html is missing"):
        bundle(run, tmp_path / "out")


def test_directory_that_no_stage_made_is_named(run: dict[str, Any], tmp_path: Path) -> None:
    (run["samples"] / "stage.json").unlink()
    with pytest.raises(StageError, match=r"samples: has no stage\.json"):
        bundle(run, tmp_path / "out")
