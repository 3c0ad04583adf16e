"""`reel audit`: every stage of the smoke job comes out the same again, under another Nix and other conditions."""

from __future__ import annotations

import base64
import errno
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from builder_sshd import LoopbackBuilder
from reel import copy_checkout, plant_stage, reel_command, reel_environment, reel_json

from reelgraph.audit import clean_store
from reelgraph.audit.audit import REPRODUCED, Options, run_audit
from reelgraph.audit.rebuild import Circumstances
from reelgraph.graph.evaluate import Checkout, load_graph
from reelgraph.graph.state import find_states
from reelgraph.graph.store import Store

STAGE = '''"""A stage that takes its time and writes down its number."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import write_json
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """Nothing."""


@dataclass(frozen=True)
class Parameters:
    """A number to write down, and seconds to wait before."""

    number: int
    seconds: float


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Wait and write."""
    time.sleep(parameters.seconds)
    write_json(out / "number.json", parameters.number)


STAGE = Stage(name="patient", inputs=Inputs, parameters=Parameters, outputs={}, run=run)
'''
STAGES = """map (number: mkStage {
  definition = stages.patient;
  set = "stage-${toString number}";
  inputs = { };
  parameters = { inherit number; seconds = if number == 3 then 8 else 0; };
}) [ 1 2 3 ]"""


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A checkout with three stages, the third of which takes eight seconds; and their attribute."""
    checkout = copy_checkout(tmp_path_factory.mktemp("patient") / "checkout")
    target = plant_stage(checkout, "patient", STAGE, ["number", "seconds"], STAGES)
    return checkout, target


def classes(report: dict[str, Any]) -> dict[str, str]:
    """Return each stage's class."""
    return {stage["name"]: stage["class"] for stage in report["stages"]}


def test_every_stage_of_the_smoke_job_is_reproduced_under_the_newest_nix(
    smoke: Path, newest_nix: Path, tmp_path: Path
) -> None:
    # That Nix in between gives the same paths too is what test_reproducible shows.
    options = ["--nix", newest_nix, "--work", tmp_path / "clean", "-o", tmp_path / "audit"]
    status, report = reel_json("audit", "wan22-smoke", *options)
    assert set(classes(report).values()) == {"reproduced"}, report
    assert status == 0
    assert report["facts"]["Nix of the first build"] != report["facts"]["Nix of the second build"]
    assert json.loads((tmp_path / "audit/audit.json").read_text()) == report
    assert not (tmp_path / "clean").exists()


def test_a_killed_audit_goes_on_where_it_was(patient: tuple[Path, str], tmp_path: Path) -> None:
    checkout, target = patient
    arguments = ["audit", target, "--jobs", "1", "--work", tmp_path / "clean", "--json"]
    process = subprocess.Popen(
        reel_command(*arguments),
        cwd=checkout,
        env=reel_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    # Its inputs are there once they are linked, or copied where it is on another file system.
    supplied = False
    for line in process.stderr:
        supplied = supplied or "into the clean store" in line or line.startswith("copying path")
        if supplied and "building" in line and "reel-stage-3-patient" in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    again = subprocess.run(
        reel_command(*arguments), cwd=checkout, env=reel_environment(), capture_output=True, text=True, check=False
    )
    assert "audit: going on, 2 of 3 stages are built again already" in again.stderr
    assert set(classes(json.loads(again.stdout)).values()) == {"reproduced"}
    assert not (tmp_path / "clean").exists()


def test_since_a_revision_only_what_changed_is_built_again(patient: tuple[Path, str], tmp_path: Path) -> None:
    checkout = shutil.copytree(patient[0], tmp_path / "checkout")
    git = ["git", "-C", str(checkout), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        subprocess.run([*git, *command], check=True)
    wiring = checkout / "nix/default.nix"
    wiring.write_text(wiring.read_text().replace("[ 1 2 3 ]", "[ 1 2 3 4 ]"))
    _, report = reel_json("audit", patient[1], "--since", "HEAD", "--work", tmp_path / "clean", cwd=checkout)
    assert classes(report) == {
        "stage-1/patient": "not-checked",
        "stage-2/patient": "not-checked",
        "stage-3/patient": "not-checked",
        "stage-4/patient": "reproduced",
    }
    assert report["stages"][0]["reason"] == "unchanged since HEAD"


def test_on_another_file_system_inputs_are_copied_and_nothing_is_built_a_second_time_in_the_first_store(
    patient: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link_tree(source: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))

    checkout, target = patient
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(clean_store, "link_tree", link_tree)
    circumstances = Circumstances()
    audit = run_audit(Checkout(checkout), target, Options(circumstances, work=tmp_path / "clean", keep=True))
    assert {stage.outcome for stage in audit.stages} == {REPRODUCED}
    assert audit.facts["inputs"].startswith("copied ")
    first, second = Store(), Store(tmp_path / "clean")
    states = find_states(load_graph(Checkout(checkout), target), first).values()
    identities = {circumstances.of(state.derivation).realisation() for state in states}
    assert identities <= second.realisations.keys() and not identities & first.realisations.keys()
    # Varied stages may write where others may not.
    for store in (first, second):
        assert [path for state in states for path in store.file(state.stage.code).rglob("__pycache__")] == []


def test_the_second_build_may_be_in_another_store(patient: tuple[Path, str], tmp_path: Path) -> None:
    checkout, target = patient
    options = ["--builder", tmp_path / "builder", "--work", tmp_path / "clean"]
    status, report = reel_json("audit", target, *options, cwd=checkout)
    assert (status, set(classes(report).values())) == (0, {"reproduced"})
    assert report["facts"]["second build"] == "here, in another store, 1 stage at a time"


def test_the_second_build_may_be_on_a_builder_over_ssh(patient: tuple[Path, str], sshd: Path, tmp_path: Path) -> None:
    checkout, target = patient
    builder = LoopbackBuilder(sshd, tmp_path / "builder", f"127.62.{os.getpid() % 250 + 1}.1")
    builder.start()
    try:
        host_key = base64.b64encode((builder.folder / "host.pub").read_bytes()).decode()
        uri = f"ssh-ng://root@{builder.address}?ssh-key={builder.folder}/user&base64-ssh-public-host-key={host_key}"
        options = ["--builder", uri, "--work", tmp_path / "clean"]
        status, report = reel_json("audit", target, *options, cwd=checkout)
        assert (status, set(classes(report).values())) == (0, {"reproduced"})
        assert report["facts"]["second build"] == "on a builder over ssh-ng, 1 stage at a time"
        assert all(builder.has(stage["second"]["path"]) for stage in report["stages"])
    finally:
        builder.stop()


def test_a_stage_that_needs_a_gpu_is_not_checked_without_one(patient: tuple[Path, str], tmp_path: Path) -> None:
    checkout = shutil.copytree(patient[0], tmp_path / "checkout")
    definition = checkout / "nix/stages/patient.nix"
    definition.write_text(definition.read_text().replace("modules", "cuda = true; modules"))
    status, report = reel_json("audit", patient[1], "--work", tmp_path / "clean", cwd=checkout)
    assert (status, set(classes(report).values())) == (1, {"not-checked"})
    assert report["stages"][0]["reason"] == "it could not be built a first time"


def test_a_folder_without_a_nix_is_named(tmp_path: Path) -> None:
    finished = subprocess.run(
        reel_command("audit", "wan22-smoke", "--nix", tmp_path),
        env=reel_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 2
    assert f"--nix {tmp_path}: holds no program 'nix'" in finished.stderr


def test_a_target_that_is_not_there_is_no_difference_and_is_named() -> None:
    finished = subprocess.run(
        reel_command("audit", "smoke.nothing"), env=reel_environment(), capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    assert "there is no target 'smoke.nothing'" in finished.stderr
