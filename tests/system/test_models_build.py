"""Weights from a hub end up in a sandboxed build under their locked hashes, and a token ends up nowhere."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_hub import TOKEN, LocalHub, Repository
from real_nix import Finished, nixw

from reelgraph.files import content_hash, file_hash, tree_files
from reelgraph.stage import validate

ROOT = Path(__file__).parents[2]

REVISION = "89abcdef0123456789abcdef0123456789abcdef"
ENTRY = {
    "title": "A small model",
    "kind": "wan22-model",
    "architecture": "Wan2.2-TI2V-5B",
    "about": "For the tests.",
    "licence": "apache-2.0",
    "attribution": "Nobody.",
    "to_check": [],
    "group": "toys",
    "repository": "maker/toy",
    "branch": "main",
    "roles": {
        "dit": ["diffusion_pytorch_model*.safetensors"],
        "text_encoder": ["text.pth"],
        "vae": ["vae.pth"],
        "tokenizer": ["google/umt5-xxl/*"],
    },
    "optional": [],
    "revision": None,
    "files": [],
}
PROBE = '''"""Read the model as a stage does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import tree_files, write_json
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """A model."""

    model: Path


@dataclass(frozen=True)
class Parameters:
    """None."""


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write down what is in the model's directory."""
    write_json(out / "probe.json", tree_files(inputs.model))


STAGE = Stage(name="probe", inputs=Inputs, parameters=Parameters, outputs={}, run=run)
'''
SCHEMA = {"type": "object", "additionalProperties": False, "required": [], "properties": {}}
DEFINITION = """{
  name = "probe"; kind = "probe"; environment = "runner"; inputs.model = "wan22-model"; schemas = [ ]; modules = [ ];
}
"""
PIPELINES = """arguments: {
  toy = arguments.mkStage {
    definition = arguments.stages.probe;
    set = "test";
    inputs.model = arguments.models.toy;
  };
}
"""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    """A private hub with a model that no store has seen, its token in the environment."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    files = {
        "diffusion_pytorch_model-00001-of-00002.safetensors": os.urandom(400_000),
        "diffusion_pytorch_model-00002-of-00002.safetensors": os.urandom(100_000),
        "text.pth": os.urandom(50_000),
        "vae.pth": os.urandom(50_000),
        "google/umt5-xxl/tokenizer.json": os.urandom(20).hex().encode(),
        "google/umt5-xxl/spiece.model": os.urandom(2000),
    }
    with LocalHub() as local:
        local.repositories["maker/toy"] = Repository(REVISION, files, private=True)
        monkeypatch.setenv("HF_ENDPOINT", local.endpoint)
        yield local


@pytest.fixture
def toy(checkout: Path) -> Path:
    """A checkout with the small model, and a stage that reads it."""
    (checkout / "materials/models/toy.json").write_text(json.dumps(ENTRY))
    (checkout / "python/reelgraph/stages/probe.py").write_text(PROBE)
    (checkout / "python/reelgraph/schemas/probe.parameters.json").write_text(json.dumps(SCHEMA))
    (checkout / "nix/stages/probe.nix").write_text(DEFINITION)
    (checkout / "nix/pipelines/default.nix").write_text(PIPELINES)
    return checkout


def reel(checkout: Path, *arguments: str) -> Finished:
    """Run the flake's own `reel`, from the project's own checkout, on another one."""
    return nixw("run", ".#reel", "--", *arguments, cwd=checkout)


def build(checkout: Path) -> Finished:
    """Build the stage that reads the model."""
    return nixw("build", "--no-link", "--json", "-L", f"path:{checkout}#lib.x86_64-linux.specifications.toy")


def test_weights_from_a_hub_reach_a_sandboxed_stage_and_the_token_reaches_nothing(toy: Path, hub: LocalHub) -> None:
    unlocked = build(toy)
    assert unlocked.status != 0 and "run: reel models lock toy" in unlocked.log
    locked = reel(toy, "models", "lock", "toy")
    assert locked.status == 0, locked.log
    missing = build(toy)
    assert missing.status != 0
    assert (
        "reelgraph: model 'toy': " in missing.log and "is not in the store; run: reel models ingest toy" in missing.log
    )
    ingested = reel(toy, "models", "ingest", "toy")
    assert ingested.status == 0, ingested.log
    built = build(toy)
    assert built.status == 0, built.log

    output = Path(json.loads(built.output)[0]["outputs"]["out"])
    content = hub.repositories["maker/toy"].files
    seen = json.loads((output / "probe.json").read_text())
    locks = {
        file["path"]: file["sha256"] for file in json.loads((toy / "materials/models/toy.json").read_text())["files"]
    }
    assert locks.keys() == content.keys()
    assert {path: digest for path, digest in seen.items() if path != "model.json"} == {
        path: f"sha256:{digest}" for path, digest in locks.items()
    }

    everything = "".join(finished.output + finished.log for finished in (unlocked, locked, missing, ingested, built))
    assert TOKEN not in everything and "hubSignature" not in everything
    drv = nixw("eval", "--raw", f"path:{toy}#lib.x86_64-linux.specifications.toy.drvPath").output
    closure = subprocess.run(["nix-store", "-qR", drv], capture_output=True, text=True, check=True).stdout.split()
    holders = [path for path in closure if Path(path).is_file() and TOKEN.encode() in Path(path).read_bytes()]
    assert len(closure) > 10 and holders == []
    assert [path for path in output.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()] == []


def test_a_joined_model_describes_itself_and_is_not_read_again_for_its_hash(toy: Path, hub: LocalHub) -> None:
    assert reel(toy, "models", "lock", "toy").status == 0
    assert reel(toy, "models", "ingest", "toy").status == 0
    built = nixw("build", "--no-link", "--json", "-L", f"path:{toy}#models.toy")
    assert built.status == 0, built.log
    model = Path(json.loads(built.output)[0]["outputs"]["out"])
    description = json.loads((model / "model.json").read_text())
    validate(description, "model", "model.json")
    assert description["parts"]["dit"]["files"] == sorted(
        path for path in hub.repositories["maker/toy"].files if "diffusion" in path
    )
    assert description["tokenizer"] == "google/umt5-xxl"
    files = tree_files(model)
    stage = json.loads((model / "stage.json").read_text())
    validate(stage, "stage", "stage.json")
    assert {path: digest for path, digest in files.items() if path != "model.json"} == stage["files"]
    assert content_hash(model) != file_hash(model / "stage.json")
    assert all(path.is_symlink() for path in model.rglob("*.safetensors"))


def test_what_a_release_must_say_is_printed_for_a_target() -> None:
    finished = nixw("run", ".#reel", "--", "licences", "wan22-smoke")
    assert finished.status == 0, finished.log
    assert "A release must carry:" in finished.output
    assert "Big Buck Bunny, (c) 2008 Blender Foundation" in finished.output
    rows = json.loads(nixw("run", ".#reel", "--", "licences", "wan22-smoke", "--json").output)["models"]
    assert all(row["allowed"] for row in rows)
    assert {"big-buck-bunny", "whisper-tiny-en", "librivox-sense-and-sensibility"} <= {row["name"] for row in rows}
