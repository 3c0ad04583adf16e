"""A release of the smoke job's checkpoint, made and checked as a user does it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from reel import reel, reel_json


@pytest.fixture(scope="module")
def release(smoke: Path, ssh_keygen: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed release."""
    folder = tmp_path_factory.mktemp("release")
    subprocess.run([ssh_keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")], check=True)
    status, output = reel("provenance", "smoke.checkpoint", "-o", folder / "release", "--sign", folder / "key")
    assert status == 0, output
    return folder / "release"


def test_a_release_is_good_and_leads_to_the_film(release: Path) -> None:
    key = release.parent / "key.pub"
    status, checks = reel_json("verify", release / "lora.safetensors", "--key", key)
    assert {check["outcome"] for check in checks["checks"]} == {"good"}, checks
    assert status == 0
    statement = json.loads((release / "provenance.intoto.json").read_text())
    found = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    roles = {entry["annotations"]["role"] for entry in found}
    assert {"master", "model", "material", "package", "code", "toolchain", "revision"} <= roles
    [film] = [entry for entry in found if entry["name"].startswith("moviepy-")]
    assert film["digest"]["sha256"] == "c80cb56815ece94e5e3e2d361aa40070eeb30a09d23a24c4e684d03e16deacb1"
    assert "big-buck-bunny-excerpt" not in json.dumps(statement)


def test_a_byte_changed_in_the_checkpoint_is_found(release: Path, tmp_path: Path) -> None:
    content = bytearray((release / "lora.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "lora.safetensors").write_bytes(content)
    file, statement = tmp_path / "lora.safetensors", release / "provenance.intoto.json"
    status, checks = reel_json("verify", file, "--statement", statement)
    [bad] = [check for check in checks["checks"] if check["outcome"] == "bad"]
    assert status == 1
    assert bad["name"] == "contents" and "tensors differ" in bad["sentence"]


def test_two_checkpoints_of_one_job_do_not_differ(smoke: Path) -> None:
    assert reel("diff", smoke, smoke) == (0, "nothing differs\n")
