"""The runner: what it refuses, what it hands over, and that the same values give the same bytes."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.files import content_hash, write_json
from reelgraph.progress import Progress, track
from reelgraph.stage import Stage, canonical_numbers, validate


@dataclass(frozen=True)
class Inputs:
    """A plan."""

    plan: Path


@dataclass(frozen=True)
class Parameters:
    """As segment-plan's."""

    segment: int


def copy_name(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write what was given."""
    write_json(out / "given.json", {"plan": inputs.plan.name, "segment": parameters.segment})


def fail(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write half of an output and fail."""
    (out / "half").write_text("half")
    raise StageError("plan: is half done; finish it")


def count(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Count to one."""
    assert list(track(["one"], "plans", 1, "plan")) == ["one"]


# segment-plan's schema is a small real one.
STAGE = Stage(name="segment-plan", inputs=Inputs, parameters=Parameters, outputs={}, run=copy_name)
FAILING = Stage(name="segment-plan", inputs=Inputs, parameters=Parameters, outputs={}, run=fail)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """An input directory."""
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan/recipe.json").write_text("{}")
    return tmp_path / "plan"


def by_hand(stage: Stage, plan: Path, parameters: object) -> Path:
    """Run a stage as its command does, into a new directory beside ``plan``."""
    file = plan.parent / "parameters.json"
    file.write_text(json.dumps(parameters))
    stage._run_by_hand((f"plan={plan}",), file, plan.parent / "out")
    return plan.parent / "out"


def test_stage_json_names_parameters_inputs_and_files(plan: Path) -> None:
    out = by_hand(STAGE, plan, {"segment": 2})
    written = json.loads((out / "stage.json").read_text())
    assert written["parameters"] == {"segment": 2}
    assert written["inputs"] == {"plan": content_hash(plan)}
    assert list(written["files"]) == ["given.json"]


def test_what_a_stage_says_in_a_derivation_begins_with_the_episode_and_by_hand_with_the_stage(
    plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(name="segment-plan", inputs=Inputs, parameters=Parameters, outputs={}, run=count)
    by_hand(stage, plan, {"segment": 0})
    assert [line.split(" ")[0] for line in capsys.readouterr().err.splitlines()] == ["plans:", "segment-plan:"]
    attributes = {
        "name": "reel-iiw-101-segment-plan",
        "outputs": {"out": str(tmp_path / "built")},
        "inputs": {"plan": str(plan)},
        "parameters": {"segment": 0},
    }
    (tmp_path / ".attrs.json").write_text(json.dumps(attributes))
    monkeypatch.setenv("NIX_BUILD_TOP", str(tmp_path))
    monkeypatch.setattr(Progress, "about", "")
    stage._run_in_derivation()
    said = [line.split(" ")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["iiw-101/plans:", "iiw-101/segment-plan:"]
    shutil.rmtree(tmp_path / "built")
    with pytest.raises(SystemExit):
        FAILING._command((), None, None, derivation=True)
    assert capsys.readouterr().err == "reelgraph: iiw-101/segment-plan: plan: is half done; finish it\n"


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({}, "parameters: 'segment' is a required property"),
        ({"segment": "two"}, "parameters: segment: 'two' is not of type 'integer'"),
        ({"segment": 1, "pace": 2}, "parameters: Additional properties are not allowed \\('pace' was unexpected\\)"),
    ],
)
def test_wrong_parameters_are_named_and_nothing_is_written(plan: Path, parameters: object, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        by_hand(STAGE, plan, parameters)
    assert sorted(path.name for path in plan.parent.iterdir()) == ["parameters.json", "plan"]


def test_a_failing_stage_leaves_nothing_half_written(plan: Path) -> None:
    with pytest.raises(StageError, match="half done"):
        by_hand(FAILING, plan, {"segment": 0})
    assert sorted(path.name for path in plan.parent.iterdir()) == ["parameters.json", "plan"]


def test_an_output_that_exists_is_not_overwritten(plan: Path) -> None:
    (plan.parent / "out").mkdir()
    with pytest.raises(StageError, match="out: exists already"):
        by_hand(STAGE, plan, {"segment": 0})


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({}, "input 'plan' is missing"),
        ({"plan": "/nowhere"}, "/nowhere: no such file or directory"),
        ({"plan": {"one": "/"}}, "input 'plan' must be one path"),
        ({"plan": "/", "clips": "/"}, "input 'clips' is unknown; this stage takes plan"),
    ],
)
def test_wrong_inputs_are_named(tmp_path: Path, inputs: dict[str, object], sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        STAGE.execute(inputs, {"segment": 0}, tmp_path)


@given(JSON)
def test_canonical_numbers_keep_values_and_are_one_spelling(value: object) -> None:
    canonical = canonical_numbers(value)
    assert canonical == value
    respelled = json.loads(json.dumps(value), parse_int=lambda digits: int(digits))
    assert json.dumps(canonical_numbers(respelled)) == json.dumps(canonical)
    assert canonical_numbers(canonical) == canonical


def test_three_and_three_point_zero_are_the_same_bytes() -> None:
    assert json.dumps(canonical_numbers({"a": [3.0, True, 0.5]})) == json.dumps({"a": [3, True, 0.5]})


def test_a_schema_names_the_field_inside_a_list() -> None:
    with pytest.raises(StageError, match=r"stage.json: files.x: 'sha256:0' does not match"):
        validate({"stage": "x", "parameters": {}, "inputs": {}, "files": {"x": "sha256:0"}}, "stage", "stage.json")


@given(JSON)
def test_the_same_value_gives_the_same_file(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.mktemp("json")
    write_json(folder / "a.json", value)
    write_json(folder / "b.json", json.loads((folder / "a.json").read_text()))
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
