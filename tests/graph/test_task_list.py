"""nix/tasks.nix: what devenv, `reel task` and the runbook are made from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from evaluation import ROOT, evaluate
from made_manifest import episode, put_manifest

from reelgraph.cli.main import main
from reelgraph.graph.evaluate import Checkout
from reelgraph.tasks.catalogue import Task, answering, read_tasks, table, upstream

# The runbook's names: whoever has them in scripts keeps them.
PROMISED = [
    "builder:server:find-cheapest-gpu",
    "builder:server:order:execute-cheapest",
    "builder:server:order:wait",
    "builder:local:register-remote",
    "builder:validate:remote",
    "builder:server:cancellation:execute-now",
    "models:ingest:wan22",
    "models:ingest:qwen",
    "models:ingest:asr",
    "train:step1-manifest",
    "train:step1-ingest-masters",
    "train:step1-shots",
    "train:step1-clips",
    "train:step2-transcript-base",
    "train:step2-transcript-disambiguate",
    "train:step2-bible",
    "train:step2-shot-reference",
    "train:step2-scene-context",
    "train:step2-caption",
    "train:step2-reviewed",
    "train:step3-wan22-package",
    "train:step3-ltx2-data",
    "train:step4-ltx2-preprocess",
    "train:step5-wan22-train",
    "train:step5-ltx2-train",
    "train:step6-samples",
    "train:step6-report",
]
# Stages that make material and toy models for the free pipelines.
MATERIAL = {"excerpt"}
# Options of devenv 2.2.2's src/modules/tasks.nix; docs/architecture.md says how the file was tried with it.
DEVENV_TYPES = {
    "after": list, "cwd": str, "description": str, "exec": str, "input": dict, "showOutput": bool, "status": str,
}  # fmt: skip


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    """The checkout's tasks."""
    return read_tasks(Checkout(ROOT))


def nix_json(expression: str) -> object:
    """Evaluate a Nix expression without the flake."""
    command = ["nix-instantiate", "--eval", "--json", "--strict", "-E", expression]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def names_before(tasks: dict[str, Task], name: str) -> set[str]:
    """Return the names of the tasks that run before one, and its own."""
    return {task.name for task in upstream(tasks, name)}


def test_every_name_of_the_runbook_is_there(tasks: dict[str, Task]) -> None:
    assert [name for name in PROMISED if name not in tasks] == []


def test_no_name_is_the_beginning_of_another(tasks: dict[str, Task]) -> None:
    # `devenv tasks run a:b` runs every task that begins with a:b: only if none has that name.
    assert [(name, other) for name in tasks for other in tasks if other != name and other.startswith(name)] == []


def test_what_runs_first_exists_and_leads_nowhere_in_a_circle(tasks: dict[str, Task]) -> None:
    for name in tasks:
        assert upstream(tasks, name)[-1].name == name


def test_no_task_spends_money_because_another_was_asked_for(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        before = [other for other in upstream(tasks, task.name) if other is not task]
        assert [other.name for other in before if "money" in other.needs or "install" in other.name] == []


def test_every_stage_belongs_to_a_task(tasks: dict[str, Task]) -> None:
    stages = {path.stem for path in (ROOT / "nix/stages").glob("*.nix")} - {"default"} - MATERIAL
    toys = {stage for stage in stages if stage.endswith("-tiny")}
    listed = [stage for task in tasks.values() for stage in task.stages]
    # Both trainers cut a plan into segments and end in a checkpoint; a pipeline has one of them.
    assert sorted(stage for stage in set(listed) if listed.count(stage) > 1) == ["checkpoint", "segment-plan"]
    assert sorted(stages - toys - set(listed)) == [], "give these a task in nix/tasks.nix"


@pytest.mark.parametrize("pipeline", ["smoke", "film", "smoke-ltx2"])
def test_a_task_runs_after_those_that_build_what_its_stages_read(tasks: dict[str, Task], pipeline: str) -> None:
    homes: dict[str, set[str]] = {}
    for task in tasks.values():
        for stage in task.stages:
            homes.setdefault(stage, set()).add(task.name)
    for name, stage in evaluate(ROOT, f"{pipeline}.graph").items():
        flat = [list(edge.values()) if isinstance(edge, dict) else [edge] for edge in stage["edges"].values()]
        read = {source.rpartition("/")[2] for sources in flat for source in sources if source}
        own = name.rpartition("/")[2]
        if own in homes:
            early = [
                [one for one in read if one in homes and not homes[one] & names_before(tasks, home)]
                for home in homes[own]
            ]
            # A stage of both trainers need only suit the one that the pipeline has.
            assert [] in early, (name, early)


def test_every_command_of_the_list_is_one_of_reel(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        values = {name: known.default or "1" for name, known in task.inputs.items()}
        for words in task.commands(values) if task.run else []:
            command: click.Command | None = main
            while isinstance(command, click.Group):
                command = command.get_command(click.Context(command), words.pop(0))
            assert command is not None, task.name
            # Parsing ends with an error at an unknown option, a wrong value, or an argument too many.
            command.make_context(task.name, [word.replace("{", "").replace("}", "") for word in words])


@pytest.mark.parametrize(
    ("sentence", "task"),
    [
        ("smoke/wan22-train needs a builder with a GPU, and none is registered", "builder:local:register-remote"),
        ("a/wan22-train and 6 more need a builder with a GPU, and none is registered", "builder:local:register-remote"),
        ("no CUDA builder is registered: rent one", "builder:local:register-remote"),
        ("gpu-1 is not installed yet; run 'reel builder install'", "builder:server:install"),
        ("the journal has no open lease", "builder:server:order:execute-cheapest"),
        ("model 'wan22-ti2v-5b': a.safetensors is not in the store; run: x", "models:ingest:wan22"),
        ("model 'whisper-large-v3-turbo': model.bin is not in the store; run: x", "models:ingest:asr"),
        ("episode 'iiw-101': its master a.mov is not in the store; run: x", "train:step1-ingest-masters"),
        ("m.json: there is no manifest; make one: reel manifest build DIR", "train:step1-manifest"),
        ("there is no pipeline 'iiw'", "train:step1-manifest"),
    ],
)
def test_a_failure_names_the_task_that_mends_it(tasks: dict[str, Task], sentence: str, task: str) -> None:
    answer = answering(tasks, sentence, failed="another")
    assert answer is not None and answer.name == task


def test_the_runbook_has_the_list_as_it_is(tasks: dict[str, Task]) -> None:
    page = (ROOT / "docs/runbook.md").read_text()
    shown = page.partition("<!-- reel task --table -->\n")[2].partition("<!-- end -->")[0]
    assert shown.strip() == table(tasks).strip(), "mend docs/runbook.md with: reel task --table"


STUB = """
  (import {file}) {{
    pkgs = {{ git = "git"; python311 = "python311"; }};
    lib = {{ }};
    config.devenv.root = "/checkout";
  }}
"""


def test_devenv_has_the_same_tasks_with_options_that_it_knows(tasks: dict[str, Task]) -> None:
    module = nix_json(STUB.format(file=ROOT / "devenv.nix"))
    assert sorted(module["tasks"]) == sorted(tasks)
    for name, options in module["tasks"].items():
        assert {option: type(value) for option, value in options.items()}.items() <= DEVENV_TYPES.items()
        assert all(isinstance(other, str) for other in options["after"])
        assert options["after"] == list(tasks[name].after)
        assert options["exec"].endswith(f"-- task --only {name}")
        assert ("status" in options) == bool(tasks[name].stages)
        assert options["input"].keys() == tasks[name].inputs.keys()


def test_devenv_and_the_flake_are_pinned_to_one_nixpkgs() -> None:
    flake, devenv = (json.loads((ROOT / name).read_text())["nodes"] for name in ("flake.lock", "devenv.lock"))
    assert devenv["nixpkgs"] == flake["nixpkgs"]
    assert devenv["root"]["inputs"].keys() == {"devenv", "nixpkgs"}
    original = devenv["devenv"]["original"]
    assert f"url: github:cachix/devenv/{original['ref']}?dir={original['dir']}" in (ROOT / "devenv.yaml").read_text()


def task_command(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `reel task` in a checkout."""
    code = "from reelgraph.cli.main import main; main(prog_name='reel')"
    command = [sys.executable, "-c", code, "task", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout, env=environment)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A checkout whose list has two tasks, neither of which builds anything."""
    (tmp_path / "nix").mkdir()
    for name in ("nixw", "flake.nix"):
        (tmp_path / name).touch()
    (tmp_path / "nix/tasks.nix").write_text("""
        let
          nothing = { stages = [ ]; needs = [ ]; answers = [ ]; inputs = { }; };
          task = description: after: run: nothing // { inherit description after run; };
        in
        {
          "a:first" = task "Lists models' tiers." [ ] [ [ "models" "tiers" ] ];
          "a:second" = task "Fails." [ "a:first" ] [ [ "manifest" "validate" "--manifest" "absent.json" ] ]
            // { inputs.who = { description = "whom to ask"; default = null; }; };
          "b:answer" = task "Mends it." [ ] [ [ "models" "tiers" ] ] // { answers = [ "." ]; };
        }
    """)
    return tmp_path


def test_those_before_run_first_and_the_exit_status_is_passed_on(listed: Path) -> None:
    good = task_command(listed, "a:first")
    assert good.returncode == 0 and "24 GB" in good.stdout.splitlines()
    bad = task_command(listed, "a:second", "--input", "who=me", "--", "--unknown-option")
    assert bad.returncode == 2 and "24 GB" in bad.stdout
    assert "a:first: done" in bad.stderr and "a:second: failed with exit status 2" in bad.stderr


def test_only_leaves_out_those_before(listed: Path) -> None:
    assert (
        "24 GB" not in task_command(listed, "a:second", "--only", "--input", "who=me", "--", "--unknown-option").stdout
    )


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["c"], 2, "there is no task 'c'; all of them: reel task\n"),
        (["a"], 2, "there is no task 'a'; did you mean a:first, a:second?"),
        (["a:second"], 2, "a:second: give who (whom to ask): --input who="),
        (["a:first", "--input", "x=1"], 2, "a:first: has no input 'x'; there is none"),
        (["a:first", "--input", "x"], 2, "--input x: expected KEY=VALUE"),
    ],
)
def test_what_a_user_gets_wrong_is_named(listed: Path, arguments: list[str], status: int, sentence: str) -> None:
    finished = task_command(listed, *arguments)
    assert finished.returncode == status and finished.stderr.startswith(f"reel: {sentence}")
    assert finished.stderr.count("\n") == 1


def test_a_mistake_in_the_list_is_named(listed: Path) -> None:
    path = listed / "nix/tasks.nix"
    path.write_text(path.read_text().replace("stages = [ ];", "stage = [ ]; stages = [ ];"))
    assert "Additional properties are not allowed ('stage' was unexpected)" in task_command(listed).stderr
    path.write_text('{ x = throw "no"; }')
    assert "nix/tasks.nix: cannot be evaluated" in task_command(listed).stderr


def test_a_gpu_stage_without_a_builder_stops_before_anything_runs(checkout: Path) -> None:
    path = checkout / "nix/stages/wan22-train.nix"
    path.write_text(path.read_text().replace("  inputs = {", "  cuda = true;\n  inputs = {", 1))
    dry = task_command(checkout, "train:step5-wan22-train", "--dry-run", "--json")
    assert dry.returncode == 0, dry.stderr
    last = json.loads(dry.stdout)["steps"][-1]
    assert (last["action"], last["task"]) == ("stop", "train:step5-wan22-train")
    finished = task_command(checkout, "train:step5-wan22-train", "--only")
    assert finished.returncode == 3
    assert (
        "and 1 more need a builder with a GPU, and none is registered; run: reel task builder:local:register-remote"
        in finished.stderr
    )


def test_each_task_of_a_pipeline_has_its_own_stages_whatever_was_asked_before(checkout: Path) -> None:
    for name, stages in [("train:step1-probe", 1), ("train:step1-clips", 1), ("train:step5-wan22-train", 7)]:
        step = json.loads(task_command(checkout, name, "--only", "--dry-run", "--json").stdout)["steps"][-1]
        assert f"{stages} stage" in step["why"], (name, step)


def test_a_stage_that_a_pipeline_lacks_is_named() -> None:
    finished = task_command(ROOT, "train:step1-variants", "--input", "pipeline=nowhere", "--only")
    assert finished.returncode == 3 and "there is no pipeline 'nowhere'; try smoke\n" in finished.stderr


def test_a_master_that_is_only_compared_is_built_with_what_compares_it(
    checkout: Path, made_up_work: dict[str, Any]
) -> None:
    put_manifest(checkout, made_up_work, [episode(101), episode(101, "fr")])
    finished = task_command(checkout, "train:step1-variants", "--only", "--dry-run", "--json")
    assert finished.returncode == 0, finished.stderr
    (step,) = json.loads(finished.stdout)["steps"]
    assert "building 3 of 3 stages" in step["why"] and "iiw-101-fr/fingerprints" in step["why"]
    assert step["commands"][0][4:] == [".#iiw.episodes.iiw-101.fingerprints", ".#iiw.variants"]


def test_a_manifest_that_git_does_not_know_is_named(checkout: Path) -> None:
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    manifest = "materials/training-data/iiw_english_source_manifest.json"
    (checkout / manifest).write_text("{}")
    finished = task_command(checkout, "train:step1-clips", "--dry-run")
    assert finished.returncode == 3
    said = f"pipeline 'iiw' is not there, and git does not know {manifest}; run: git add nix materials"
    assert finished.stderr == f"reel: train:step1-clips: {said}\n"
