"""What a plan expects of a stage rests on what the store has seen: did the last edit of the same inputs change it."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_store import MadeStage, MadeStore

from reelgraph.graph.plan import make_plan

BIBLE, SCENES, CAPTION = "set/bible", "one/scenes", "one/caption"
SAME, OTHER = {"scenes.json": "[1]"}, {"scenes.json": "[2]"}


@pytest.fixture
def made(tmp_path: Path) -> MadeStore:
    """bible -> scenes -> caption, all built."""
    made = MadeStore(tmp_path / "store")
    made.put(MadeStage(BIBLE, {"text": "grey fur"}))
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 3}))
    made.put(MadeStage(CAPTION, {"scenes": SCENES}))
    made.build(BIBLE, {"bible.json": "grey fur"})
    made.build(SCENES, SAME)
    made.build(CAPTION, {"captions.json": "[3]"})
    return made


def edit(made: MadeStore, text: str) -> dict[str, str]:
    """Edit the bible; return what is expected of each stage that is not built."""
    made.put(MadeStage(BIBLE, {"text": text}))
    plan = make_plan(made.checkout, "it", store=made.store)
    return {name: stage.expected for name, stage in plan.stages.items() if stage.expected}


def build(made: MadeStore, text: str, scenes: dict[str, str]) -> None:
    """Build the edited bible and the scenes, which come out as given."""
    made.build(BIBLE, {"bible.json": text})
    made.build(SCENES, scenes)


def test_an_edit_such_as_none_before_is_expected_to_change_everything(made: MadeStore) -> None:
    assert edit(made, "light fur") == {BIBLE: "rebuild", SCENES: "rebuild", CAPTION: "rebuild"}


def test_where_the_last_such_edit_changed_nothing_the_next_is_expected_to_change_nothing(made: MadeStore) -> None:
    edit(made, "light fur")
    build(made, "light fur", SAME)
    assert edit(made, "dark fur") == {BIBLE: "rebuild", SCENES: "rebuild", CAPTION: "cut-off"}


def test_where_the_last_such_edit_changed_something_the_next_is_expected_to(made: MadeStore) -> None:
    edit(made, "light fur")
    build(made, "light fur", SAME)
    edit(made, "no fur")
    build(made, "no fur", OTHER)
    made.build(CAPTION, {"captions.json": "[4]"})
    assert edit(made, "dark fur") == {BIBLE: "rebuild", SCENES: "rebuild", CAPTION: "rebuild"}


def test_of_a_stage_s_own_parameters_the_past_says_nothing(made: MadeStore) -> None:
    edit(made, "light fur")
    build(made, "light fur", SAME)
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 4}))
    assert edit(made, "dark fur")[CAPTION] == "rebuild"


def test_what_other_inputs_changed_says_nothing_of_these(made: MadeStore) -> None:
    edit(made, "light fur")
    build(made, "light fur", SAME)
    # Another Python as well as another bible: the store has seen no such pair.
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 3}, packages=("click-9.0.0",)))
    assert edit(made, "dark fur")[CAPTION] == "rebuild"


def test_another_package_is_expected_to_change_what_the_last_one_changed(made: MadeStore) -> None:
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 3}, packages=("click-9.0.0",)))
    assert edit(made, "grey fur") == {SCENES: "rebuild", CAPTION: "rebuild"}
    made.build(SCENES, SAME)
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 3}, packages=("click-9.1.0",)))
    assert edit(made, "grey fur") == {SCENES: "rebuild", CAPTION: "cut-off"}


def test_an_edit_of_another_kind_in_between_does_not_mislead(made: MadeStore) -> None:
    edit(made, "light fur")
    build(made, "light fur", OTHER)
    made.build(CAPTION, {"captions.json": "[3]"})
    # The scenes' own parameter makes other captions, a bible's line did not.
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 9}))
    made.build(SCENES, {"scenes.json": "[9]"})
    made.build(CAPTION, {"captions.json": "[9]"})
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 3}), MadeStage("set/package", {"captions": CAPTION}))
    made.build("set/package", {"metadata.json": "{}"})
    expected = {BIBLE: "rebuild", SCENES: "rebuild", CAPTION: "rebuild", "set/package": "cut-off"}
    assert edit(made, "dark fur") == expected


def test_an_edit_that_other_code_followed_is_passed_over_for_one_that_this_code_did(made: MadeStore) -> None:
    edit(made, "light fur")
    build(made, "light fur", SAME)
    made.put(MadeStage(BIBLE, {"text": "grey fur"}))
    made.put(MadeStage(SCENES, {"bible": BIBLE}, {"length": 3}, code={"reelgraph/stages/it.py": "run = 2\n"}))
    made.build(SCENES, SAME)
    edit(made, "dark fur")
    build(made, "dark fur", SAME)
    assert edit(made, "red fur") == {BIBLE: "rebuild", SCENES: "rebuild", CAPTION: "cut-off"}
