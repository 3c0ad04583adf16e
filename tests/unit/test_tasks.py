"""Tasks without Nix: inputs, order, what mends what, exit statuses; and the sentences of docs/troubleshooting.md."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from reelgraph.errors import StageError
from reelgraph.graph.builders import NOWHERE
from reelgraph.graph.evaluate import Checkout
from reelgraph.graph.state import State
from reelgraph.tasks.catalogue import Input, Task, answering, check_inputs, find_task, table, upstream
from reelgraph.tasks.run import SKIP, Runner, call_reel

ROOT = Path(__file__).parents[2]


def task(name: str, after: tuple[str, ...] = (), **fields: object) -> Task:
    """Return a task that shows the tiers."""
    given = {"stages": (), "run": (("models", "tiers"),), "inputs": {}, "needs": (), "answers": ()} | fields
    return Task(name=name, description=f"{name}.", after=after, **given)


def by_name(*tasks: Task) -> dict[str, Task]:
    """Return tasks as the list has them."""
    return {one.name: one for one in tasks}


def test_tasks_run_after_those_before_them_and_else_in_the_order_of_their_names() -> None:
    tasks = by_name(task("x:4", ("x:2", "x:3")), task("x:3", ("x:1",)), task("x:2"), task("x:1"), task("x:9"))
    assert [one.name for one in upstream(tasks, "x:4")] == ["x:1", "x:2", "x:3", "x:4"]


def test_inputs_fill_the_commands_and_an_empty_one_is_left_out() -> None:
    inputs = {"file": Input("a file", "quote.json"), "lease": Input("a lease", "")}
    order = task("a:b", run=(("builder", "wait", "{lease}"), ("builder", "order", "{file}")), inputs=inputs)
    values = order.values({"file": "my quote.json"})
    assert order.commands(values, ["--real"]) == [["builder", "wait"], ["builder", "order", "my quote.json", "--real"]]


def test_an_input_that_must_be_given_is_named() -> None:
    with pytest.raises(StageError, match=r"a:b: give masters \(the folder\): --input masters="):
        task("a:b", inputs={"masters": Input("the folder", None)}).values({})


def test_an_input_that_no_task_has_is_named() -> None:
    with pytest.raises(StageError, match="a:b: has no input 'pipelin'; there is pipeline"):
        check_inputs([task("a:b", inputs={"pipeline": Input("", "smoke")})], {"pipelin": "x"})


@pytest.mark.parametrize(
    ("asked", "meant"),
    [("train:step1-clip", "train:step1-clips"), ("train", "train:step1-clips"), ("train:", "train:step1-clips")],
)
def test_a_name_that_is_nearly_one_finds_it(asked: str, meant: str) -> None:
    with pytest.raises(StageError, match=f"there is no task '{asked}'; did you mean {meant}") as caught:
        find_task(by_name(task("train:step1-clips"), task("models:ingest:asr")), asked)
    assert caught.value.status == 2


def test_a_task_is_not_its_own_answer() -> None:
    tasks = by_name(task("a:b", answers=("no lease",)))
    assert answering(tasks, "there is no lease", "a:b") is None
    assert answering(tasks, "there is no lease", "a:c") == tasks["a:b"]


def test_the_table_shows_inputs_and_what_must_be_given() -> None:
    inputs = {"masters": Input("", None), "hours": Input("", "10"), "pipeline": Input("", "smoke")}
    row = table(by_name(task("a:b", ("a:c",), inputs=inputs, needs=("network", "money")))).splitlines()[2]
    assert row == "| `a:b` | a:b. | `masters`, `hours=10` | network, money | `a:c` |"


def test_stages_that_both_trainers_have_count_for_the_trainer_of_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"pipeline": Input("", "smoke")}
    trainings = [
        task(f"train:{family}", stages=("segment-plan", f"{family}-train", "checkpoint"), inputs=inputs, run=())
        for family in ("ltx2", "wan22")
    ]
    report = task("train:report", ("train:ltx2", "train:wan22"), stages=("report",), inputs=inputs, run=())
    built = [
        SimpleNamespace(stage=stage, state=State.BUILT, output=f"/nix/store/{stage}")
        for stage in ("segment-plan", "wan22-train", "checkpoint", "report")
    ]
    plan = SimpleNamespace(stages={stage.stage: stage for stage in built})
    monkeypatch.setattr("reelgraph.tasks.run.make_plan", lambda *arguments, **options: plan)
    runner = Runner(Checkout(ROOT), by_name(*trainings, report), {})
    assert [(step.action, step.why) for step in runner.steps([*trainings, report])] == [
        (SKIP, "pipeline smoke needs none of its stages"),
        (SKIP, "3 stages of pipeline smoke are built"),
        (SKIP, "1 stage of pipeline smoke is built"),
    ]
    asked = Runner(Checkout(ROOT), by_name(*trainings, report), {})
    with pytest.raises(StageError, match=r"^train:ltx2: pipeline 'smoke' has no stage ltx2-train$") as caught:
        list(asked.steps([trainings[0]]))
    assert caught.value.status == 3
    assert [Runner(Checkout(ROOT), by_name(*trainings), {}).is_done(training) for training in trainings] == [True, True]


def test_a_stage_that_waits_for_a_builder_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    training = task("train:wan22", stages=("wan22-train",), inputs={"pipeline": Input("", "smoke")}, run=())
    waiting = SimpleNamespace(name="wan22-train", stage="wan22-train", state=State.TO_BUILD, where=NOWHERE, output="")
    plan = SimpleNamespace(stages={"wan22-train": waiting})
    monkeypatch.setattr("reelgraph.tasks.run.make_plan", lambda *arguments, **options: plan)
    assert not Runner(Checkout(ROOT), by_name(training), {}).is_done(training)


def test_a_command_of_reel_ends_with_its_own_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert call_reel(["models", "tiers"]) == 0
    assert "24 GB" in capsys.readouterr().out
    assert call_reel(["models", "tiers", "--no-such-option"]) == 2
    assert "reel: no such option '--no-such-option' (see: reel models tiers --help)" in capsys.readouterr().err
    with pytest.raises(StageError, match="there is no manifest"):
        call_reel(["manifest", "validate", "--manifest", "absent.json"])


def test_every_sentence_of_the_troubleshooting_page_is_one_that_the_code_says() -> None:
    files = [path for folder in ("python/reelgraph", "nix") for path in (ROOT / folder).rglob("*") if path.is_file()]
    code = "\n".join(path.read_text(errors="replace") for path in files)
    # Sentences are cut where lines were too long, and hold values.
    code = re.sub(r'"\s*\n\s*f?"', "", code)
    rows = [line for line in (ROOT / "docs/troubleshooting.md").read_text().splitlines() if line.startswith("| `")]
    said = [sentence for row in rows for sentence in re.findall("`([^`]+)`", row.split(" | ")[0])]
    # jsonschema's own words, and places where a name stands.
    said = [re.sub("'(NAME|iiw)'", "'{}'", sentence) for sentence in said if sentence != "is not of type"]
    plain = re.sub(r"'[{$][^']*'", "'{}'", code)
    assert len(said) >= 20
    assert [sentence for sentence in said if sentence not in plain] == []
