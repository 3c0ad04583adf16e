"""A plan says of each stage what is known: built, to build, or unknown; why; how long; for how much."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from made_store import MadeStage, MadeStore

from reelgraph.errors import StageError
from reelgraph.files import content_hash, write_json
from reelgraph.graph.builders import parse_machines
from reelgraph.graph.changes import same_program
from reelgraph.graph.lines import plan_lines
from reelgraph.graph.plan import Plan, make_plan, plan_json
from reelgraph.graph.prices import Price
from reelgraph.graph.state import State
from reelgraph.stage import validate

SHOTS, CLIPS, PACKAGE = "one/shots", "one/clips", "set/package"


@pytest.fixture
def made(tmp_path: Path) -> MadeStore:
    """shots -> clips -> package, all built."""
    made = MadeStore(tmp_path / "store")
    made.put(
        MadeStage(SHOTS, {"master": "film"}, {"threshold": 3}),
        MadeStage(CLIPS, {"shots": SHOTS}, {"fps": 24}, code={"reelgraph/stages/clips.py": "run = 1\n"}),
        MadeStage(PACKAGE, {"clips": {"one": CLIPS}}),
    )
    made.build(SHOTS, {"shots.json": "[1]"}, seconds=10)
    made.build(CLIPS, {"clips.json": "[2]"}, seconds=20)
    made.build(PACKAGE, {"metadata.json": "[3]"}, seconds=1)
    return made


def plan_of(made: MadeStore, **options) -> Plan:
    """Return the plan of the last stage."""
    return make_plan(made.checkout, "it", store=made.store, **options)


def states(plan: Plan) -> dict[str, str]:
    """Return each stage's state."""
    return {name: stage.state.value for name, stage in plan.stages.items()}


def why(plan: Plan, name: str) -> str:
    """Return a stage's reasons."""
    return "; ".join(plan.stages[name].why)


def test_what_is_built_is_not_built_again(made: MadeStore) -> None:
    plan = plan_of(made)
    assert set(states(plan).values()) == {"built"}
    assert plan.totals()["seconds_at_most"] == 0
    assert list(plan_lines(plan, every=False))[-1] == "Nothing is to be built."


def test_a_parameter_is_named_with_both_values_and_what_follows_waits(made: MadeStore) -> None:
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 4}))
    plan = plan_of(made)
    assert states(plan) == {SHOTS: "to-build", CLIPS: "unknown", PACKAGE: "unknown"}
    assert why(plan, SHOTS) == "parameter threshold: 3 -> 4"
    assert why(plan, CLIPS) == f"waits for {SHOTS}; cut off if they come out the same"
    assert plan.stages[CLIPS].expected == "rebuild"


def test_a_stage_whose_inputs_came_out_as_before_is_built(made: MadeStore) -> None:
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 4}))
    made.build(SHOTS, {"shots.json": "[1]"})
    # Its parameters are no part of the file, but of its record, which makes its content another one.
    assert states(plan_of(made))[SHOTS] == "built"
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 3}))
    assert set(states(plan_of(made)).values()) == {"built"}


def test_a_comment_is_expected_to_be_cut_off(made: MadeStore) -> None:
    code = {"reelgraph/stages/it.py": "# a comment\nrun = 1\n"}
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 3}, code=code))
    plan = plan_of(made)
    assert states(plan) == {SHOTS: "to-build", CLIPS: "unknown", PACKAGE: "unknown"}
    assert why(plan, SHOTS) == "code reelgraph/stages/it.py: only comments or layout differ"
    assert {plan.stages[name].expected for name in (CLIPS, PACKAGE)} == {"cut-off"}


def test_what_is_no_text_among_the_code_is_named_too(made: MadeStore) -> None:
    code = {"reelgraph/stages/it.py": "run = 1\n", "reelgraph/media/table.npy": b"\x93NUMPY\xff"}
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 3}, code=code))
    assert why(plan_of(made), SHOTS) == "code reelgraph/media/table.npy is new"


def test_a_comment_does_not_hide_that_an_input_changes(made: MadeStore) -> None:
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 4}))
    code = {"reelgraph/stages/clips.py": "# a comment\nrun = 1\n"}
    made.put(MadeStage(CLIPS, {"shots": SHOTS}, {"fps": 24}, code=code))
    plan = plan_of(made)
    assert why(plan, CLIPS).startswith("code reelgraph/stages/clips.py: only comments or layout differ; waits for")
    assert plan.stages[PACKAGE].expected == "rebuild"


def test_a_stage_with_new_code_is_to_build_though_its_inputs_are_unknown(made: MadeStore) -> None:
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 4}))
    made.put(MadeStage(CLIPS, {"shots": SHOTS}, {"fps": 24}, code={"reelgraph/stages/clips.py": "run = 2\n"}))
    plan = plan_of(made)
    assert states(plan) == {SHOTS: "to-build", CLIPS: "to-build", PACKAGE: "unknown"}
    assert "code reelgraph/stages/clips.py differs" in why(plan, CLIPS)


def test_a_file_a_package_and_a_module_are_named(made: MadeStore) -> None:
    code = {"reelgraph/stages/it.py": "run = 1\n", "reelgraph/media/new.py": ""}
    made.put(MadeStage(SHOTS, {"master": "film 2"}, {"threshold": 3}, code=code, packages=("click-8.6.0", "av-18.0.0")))
    reasons = plan_of(made).stages[SHOTS].why
    assert "package click: 8.5.1 -> 8.6.0" in reasons
    assert "package av is new: 18.0.0" in reasons
    assert any(reason.startswith("code reelgraph/media/new.py is new") for reason in reasons)
    assert any(reason.startswith("input master differs") for reason in reasons)


def test_an_input_that_was_built_anew_is_named_with_its_files(made: MadeStore) -> None:
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 4}))
    made.build(SHOTS, {"shots.json": "[9]"})
    plan = plan_of(made)
    assert states(plan) == {SHOTS: "built", CLIPS: "to-build", PACKAGE: "unknown"}
    assert why(plan, CLIPS) == f"input shots differs ({SHOTS}: shots.json)"


def test_a_stage_that_was_never_built_says_so(made: MadeStore) -> None:
    made.put(MadeStage("new/stage", {"package": PACKAGE}))
    assert why(plan_of(made), "new/stage") == "never built here"


def test_another_version_of_nix_that_writes_a_number_otherwise_is_named(made: MadeStore) -> None:
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 3.0}))
    plan = plan_of(made)
    assert states(plan) == {SHOTS: "to-build", CLIPS: "unknown", PACKAGE: "unknown"}
    assert why(plan, SHOTS) == "nothing of it changed, but another version of Nix writes its derivation in other words"
    assert {plan.stages[name].expected for name in (CLIPS, PACKAGE)} == {"cut-off"}
    # With a number of its own the next stage is built as well, whatever it is given.
    made.put(MadeStage(CLIPS, {"shots": SHOTS}, {"fps": 24.0}, code={"reelgraph/stages/clips.py": "run = 1\n"}))
    plan = plan_of(made)
    assert states(plan)[CLIPS] == "to-build"
    assert why(plan, CLIPS).startswith("nothing of it changed, but another version of Nix")
    validate(plan_json(plan), "reel-plan", "plan")


def test_an_output_that_was_collected_as_garbage_is_named_so(made: MadeStore) -> None:
    made.collect(SHOTS)
    plan = plan_of(made)
    assert why(plan, SHOTS) == "its output is no longer in the store"
    assert plan.stages[SHOTS].seconds == 10


def test_times_come_from_logs_and_from_stages_alike(made: MadeStore) -> None:
    made.put(MadeStage("two/shots", {"master": "other"}, {"threshold": 3}))
    made.put(MadeStage("set/all", {"shots": "two/shots", "package": PACKAGE}))
    plan = plan_of(made)
    assert (plan.stages[CLIPS].seconds, plan.stages[CLIPS].seconds_from) == (20, "recorded")
    assert (plan.stages["two/shots"].seconds, plan.stages["two/shots"].seconds_from) == (
        10,
        "other shots stages of this target",
    )
    assert plan.stages["set/all"].seconds is None
    assert plan.totals()["without_estimate"] == 1


def test_the_training_plan_gives_times_by_steps(made: MadeStore) -> None:
    segments = {"segments": [{"first": 1, "last": 100}, {"first": 101, "last": 130}]}
    made.put(
        MadeStage("set/wan22-plan", {"package": PACKAGE}),
        MadeStage("set-segment-0/wan22-train", {"plan": "set/wan22-plan"}, {"segment": 0}, kind="wan22-segment"),
        MadeStage(
            "set-segment-1/wan22-train",
            {"plan": "set/wan22-plan", "previous": "set-segment-0/wan22-train"},
            {"segment": 1},
            kind="wan22-segment",
        ),
    )
    made.build("set/wan22-plan", {"plan.json": json.dumps(segments)}, seconds=1)
    assert plan_of(made, step_seconds=2.0).stages["set-segment-0/wan22-train"].seconds == 200
    made.build("set-segment-0/wan22-train", {"state.json": "{}"}, seconds=50)
    stage = plan_of(made).stages["set-segment-1/wan22-train"]
    assert (stage.seconds, stage.seconds_from) == (15, "the training plan's 30 steps")


def test_a_gpu_stage_is_built_on_the_builder_that_offers_it_and_costs_its_hours(made: MadeStore) -> None:
    made.put(MadeStage("set/train", {"package": PACKAGE}, features=["cuda"]))
    assert plan_of(made).stages["set/train"].where == "nowhere"
    assert "needs a builder with cuda" in why(plan_of(made), "set/train")
    [line] = [line for line in plan_lines(plan_of(made), every=False) if "on builders" in line]
    assert line == "1 stage on builders; for their cost give --price."
    made.machines = "ssh-ng://a x86_64-linux - 1 1 cuda - -; ssh-ng://b x86_64-linux - 1 1 ca-derivations,cuda cuda -"
    price = Price(Decimal("3.60"), "EUR", "test")
    plan = plan_of(made, price=price)
    assert plan.stages["set/train"].where == "ssh-ng://b"
    assert plan.stages["set/train"].cost is None
    made.build("set/train", {"x": "1"}, seconds=100)
    made.put(MadeStage("set/train", {"package": PACKAGE}, {"epochs": 2}, features=["cuda"]))
    plan = plan_of(made, price=price)
    assert plan.stages["set/train"].cost == Decimal("0.10")
    assert (plan.totals()["cost"], plan.totals()["currency"]) == ("0.10", "EUR")
    # What it will cost is asked before a builder is rented.
    made.machines = ""
    before = plan_of(made, price=price)
    assert (before.totals()["cost"], before.totals()["nowhere"], before.totals()["remote"]) == ("0.10", 1, 0)
    assert any("at most 0.10 EUR." in line for line in plan_lines(before, every=False))


def test_a_build_without_a_gpu_says_nothing_of_one_with_it(made: MadeStore) -> None:
    made.put(MadeStage("set/train", {"package": PACKAGE}))
    made.build("set/train", {"x": "1"}, seconds=100)
    made.put(MadeStage("set/train", {"package": PACKAGE}, features=["cuda"]))
    plan = plan_of(made, price=Price(Decimal("3.60"), "EUR", "test"))
    assert plan.stages["set/train"].seconds is None
    lines = list(plan_lines(plan, every=False))
    assert lines[-1].endswith(": not known, 1 stage never built; docs/cost.md works one out.")
    assert "Time: not known, 1 stage never built." in lines


def test_a_build_of_another_pipeline_gives_no_times(made: MadeStore) -> None:
    made.put(MadeStage("toy/encode", {"package": PACKAGE}, features=["cuda"]))
    made.build("toy/encode", {"x": "1"}, seconds=3)
    del made.stages["toy/encode"]
    made.put(MadeStage("one/encode", {"package": PACKAGE}, features=["cuda"]))
    made.put(MadeStage("two/encode", {"package": PACKAGE}, {"other": 1}, features=["cuda"]))
    price = Price(Decimal("3.60"), "EUR", "test")
    assert {plan_of(made).stages[name].seconds for name in ("one/encode", "two/encode")} == {None}
    made.build("one/encode", {"x": "1"}, seconds=100)
    made.put(MadeStage("one/encode", {"package": PACKAGE}, {"other": 2}, features=["cuda"]))
    made.put(MadeStage("set/samples", {"package": PACKAGE}, features=["cuda"]))
    assert plan_of(made).stages["two/encode"].seconds == 100
    [line] = [line for line in plan_lines(plan_of(made, price=price), every=False) if line.startswith("Cost")]
    said = "at most 0.20 EUR for 2 stages; 1 more were never built, so what they cost is not known."
    assert line.endswith(said)


def test_segments_alike_are_one_line(made: MadeStore) -> None:
    previous = PACKAGE
    for number in range(12):
        name = f"set-segment-{number}/wan22-train"
        made.put(MadeStage(name, {"previous": previous}, {"segment": number}, kind="wan22-segment"))
        previous = name
    lines = [line for line in plan_lines(plan_of(made), every=False) if "wan22-train" in line]
    assert [line.split()[2:4] for line in lines] == [["12", "segments/wan22-train"]]
    assert sum("wan22-train" in line for line in plan_lines(plan_of(made), every=True)) == 12


def test_a_training_on_a_gpu_takes_what_its_plan_estimates_until_a_segment_is_built(made: MadeStore) -> None:
    modes = [{"recompute": "none", "seconds": 40.0}, {"recompute": "full", "seconds": 60.0}]
    estimate = {"gpu": "NVIDIA H200", "modes": modes}
    segments = [{"first": 1, "last": 75}, {"first": 76, "last": 100}]
    parameters = {"segment": 1, "recompute": "full"}
    made.put(
        MadeStage("set/wan22-plan", {"package": PACKAGE}),
        MadeStage(
            "set-segment-1/wan22-train", {"plan": "set/wan22-plan"}, parameters, features=["cuda"], kind="x-segment"
        ),
    )
    made.build("set/wan22-plan", {"plan.json": json.dumps({"segments": segments, "estimate": estimate})})
    stage = plan_of(made).stages["set-segment-1/wan22-train"]
    assert (stage.seconds, stage.seconds_from) == (15, "the training plan's estimate for NVIDIA H200")
    assert plan_of(made, step_seconds=2.0).stages["set-segment-1/wan22-train"].seconds == 50


def test_costs_are_rounded_up_to_a_cent() -> None:
    assert Price(Decimal("1"), "EUR", "x").cost(1) == Decimal("0.01")


def test_against_a_revision_names_what_changed_since(made: MadeStore) -> None:
    made.revisions["at-main"] = dict(made.stages)
    made.put(MadeStage(SHOTS, {"master": "film"}, {"threshold": 5}))
    plan = plan_of(made, against="main")
    assert why(plan, SHOTS) == "parameter threshold: 3 -> 5"
    assert not plan.stages[CLIPS].changes


def test_against_a_result_names_parameters_and_contents(made: MadeStore, tmp_path: Path) -> None:
    output = made.store.file(plan_of(made).stages[SHOTS].output)
    stages = [
        {"name": SHOTS, "parameters": {"threshold": 2}, "content": content_hash(output)},
        {"name": CLIPS, "parameters": {"fps": 24}, "content": "sha256:other"},
    ]
    (tmp_path / "provenance.json").write_text(json.dumps({"stages": stages}))
    plan = plan_of(made, against=str(tmp_path))
    assert why(plan, SHOTS) == "parameter threshold: 2 -> 3"
    assert why(plan, CLIPS).startswith("output contents: sha256:other -> sha256:")
    assert why(plan, PACKAGE) == "stage set/package is new: not in that result"


def test_against_a_result_that_this_store_built_names_code_and_inputs_as_well(made: MadeStore, tmp_path: Path) -> None:
    plan = plan_of(made)
    stages = [
        {"name": name, "parameters": parameters, "content": content_hash(made.store.file(plan.stages[name].output))}
        for name, parameters in ((SHOTS, {"threshold": 3}), (CLIPS, {"fps": 24}))
    ]
    (tmp_path / "result").mkdir()
    write_json(tmp_path / "result/provenance.json", {"stages": stages})
    shutil.copytree(made.store.file(plan.stages[PACKAGE].output), tmp_path / "result", dirs_exist_ok=True)
    assert not any(stage.changes for stage in plan_of(made, against=str(tmp_path / "result")).stages.values())
    made.put(MadeStage(CLIPS, {"shots": SHOTS}, {"fps": 25}, code={"reelgraph/stages/clips.py": "run = 2\n"}))
    made.build(CLIPS, {"clips.json": "[4]"})
    plan = plan_of(made, against=str(tmp_path / "result"))
    assert why(plan, CLIPS) == "parameter fps: 24 -> 25; code reelgraph/stages/clips.py differs"
    assert why(plan, PACKAGE) == f"input clips.one differs ({CLIPS}: clips.json)"
    assert any(line.startswith("built") and CLIPS in line for line in plan_lines(plan, every=False))


def test_what_a_person_changed_is_told_before_what_follows(made: MadeStore) -> None:
    code = {"reelgraph/stages/it.py": "# a comment\nrun = 1\n", "reelgraph/media/new.py": ""}
    made.put(MadeStage(SHOTS, {"master": "other"}, {"threshold": 4}, code=code, packages=("click-9.0.0",)))
    plan = plan_of(made)
    assert plan.stages[SHOTS].why[0] == "parameter threshold: 3 -> 4"
    assert plan.stages[SHOTS].why[-1] == "code reelgraph/stages/it.py: only comments or layout differ"
    [line] = [line for line in plan_lines(plan, every=False) if SHOTS in line and line.startswith("to build")]
    assert line.endswith("3 more")


def test_a_folder_that_is_no_result_is_named(made: MadeStore, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"is neither a git revision nor a result with provenance\.json"):
        plan_of(made, against=str(tmp_path))


def test_the_json_satisfies_its_schema(made: MadeStore) -> None:
    made.put(MadeStage(SHOTS, {"master": "film 3"}, {"threshold": 4}, packages=()))
    validate(plan_json(plan_of(made)), "reel-plan", "plan")


def test_episodes_alike_are_one_line(made: MadeStore) -> None:
    for episode in ("a", "b", "c"):
        made.put(MadeStage(f"{episode}/source", {"master": episode}))
    made.put(MadeStage("set/all", {"source": {name: f"{name}/source" for name in ("a", "b", "c")}}))
    plan = plan_of(made)
    lines = list(plan_lines(plan, every=False))
    assert any("3 episodes/source" in line for line in lines)
    assert not any("3 episodes/source" in line for line in plan_lines(plan, every=True))


@pytest.mark.parametrize(
    ("file", "old", "new", "same"),
    [
        ("a.py", b"x = 1", b"x = 1  # why", True),
        ("a.py", b'"""Old."""\nx = 1', b'"""New."""\nx = 1', True),
        ("a.py", b"x = 1", b"x = 2", False),
        ("a.py", b"x = 1", b"x = (", False),
        ("a.json", b'{"a": 1}', b'{ "a": 1 }', True),
        ("a.json", b'{"a": 1}', b'{"a": 2}', False),
        ("a.css", b"a{}", b"a {}", False),
        # What a test or a person left beside the code, such as a cache of Python's.
        ("a.pyc", b"\xa7\r\r\n", b"\xa7\r\n", False),
        ("a.py", b"\xff\x00", b"\xff", False),
        ("a.json", b"\xff\x00", b"\xff", False),
    ],
)
def test_only_what_cannot_change_a_result_counts_as_the_same(file: str, old: bytes, new: bytes, same: bool) -> None:
    assert same_program(file, old, new) is same


def test_machines_may_stand_in_files_that_name_files(tmp_path: Path) -> None:
    (tmp_path / "machines").write_text(
        "# one\nssh-ng://x x86_64-linux,aarch64-linux /key 4 2.5 cuda,ca-derivations cuda aGk=\n"
    )
    [builder] = parse_machines(f"@{tmp_path}/machines;@{tmp_path}/absent")
    assert (builder.uri, builder.speed, builder.mandatory) == ("ssh-ng://x", 2.5, {"cuda"})
    assert builder.takes("aarch64-linux", frozenset({"cuda"}))
    assert not builder.takes("x86_64-linux", frozenset())


def test_unknown_is_a_state_of_its_own() -> None:
    assert [state.value for state in State] == ["built", "to-build", "unknown"]
