"""`reel plan` after an edit names the stages that are then built, and no other: checked by building."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import nixw
from reel import copy_checkout, reel_json

EPISODE = "big-buck-bunny-excerpt"


@dataclass(frozen=True)
class Edit:
    """An edit of a checkout, the target that is planned and built, and what the plan must name of it.

    ``is_foreseeable`` is whether every stage behind the edit comes out otherwise, or every one the same.
    """

    apply: Callable[[Path], None]
    target: str
    stage: str | None
    reasons: tuple[str, ...]
    is_foreseeable: bool = True


def replace(file: str, *edits: tuple[str, str]) -> Callable[[Path], None]:
    """Return the edit that replaces each pattern's first occurrence in a file."""

    def apply(checkout: Path) -> None:
        path = checkout / file
        for pattern, text in edits:
            edited, count = re.subn(pattern, text, path.read_text(), count=1)
            assert count == 1, f"{file} has no '{pattern}'"
            path.write_text(edited)

    return apply


def add_wheel(checkout: Path) -> None:
    """Give the environment of speech recognition a package more, in an order that no environment had before."""
    locks = checkout / "python/locks/x86_64-linux"
    asr, media = (locks / "asr.txt").read_text().splitlines(), (locks / "media.txt").read_text().splitlines()
    more = next(line for line in media if line.startswith("pillow==") and line not in asr)
    (locks / "asr.txt").write_text("\n".join(DRAW.sample([*asr, more], len(asr) + 1)) + "\n")


def add_comment(checkout: Path) -> None:
    """Put a comment at the end of a stage's script."""
    script = checkout / "python/reelgraph/stages/shots.py"
    script.write_text(f"{script.read_text()}\n# {WORD}\n")


# Every run makes edits that no run before it made, so that nothing of them is built yet.
# Other tests seed the shared generator.
DRAW = random.SystemRandom()
WORD = "".join(DRAW.choices("abcdefghijklmnopqrstuvwxyz", k=8))
# Nix 2.8 keeps six digits of a number.
NUMBER = DRAW.randrange(100, 1000)
PIPELINE = "nix/pipelines/smoke.nix"
EDITS = {
    "README": Edit(lambda checkout: (checkout / "README.md").write_text("edited"), "wan22-smoke", None, ()),
    "an override": Edit(
        replace("materials/smoke/overrides.yaml", ("almost still;", f"almost {WORD};")),
        "smoke.dataset.wan22",
        f"{EPISODE}/reviewed",
        ("input overrides differs (overrides.yaml)",),
    ),
    "a line of the bible": Edit(
        replace("materials/smoke/bible.yaml", ("short light-grey fur", f"short {WORD} fur")),
        "smoke.dataset.wan22",
        "smoke/bible",
        ("input bible differs (bible.yaml)",),
        # Which stages the looks of a character reach, only building tells: names alone stay as they were.
        is_foreseeable=False,
    ),
    "a boundary of clips": Edit(
        replace(
            PIPELINE,
            (r"trim_frames = \d+;", "trim_frames = 3;"),
            ("repeat_change = 0.1", f"repeat_change = 0.1{NUMBER}"),
        ),
        f"smoke.episodes.{EPISODE}.clips",
        f"{EPISODE}/clips",
        ("parameter repeat_change: ",),
    ),
    "a flag of the trainer": Edit(
        replace(
            PIPELINE,
            (r"warmup_steps = \d+;", f"warmup_steps = {NUMBER}{DRAW.randrange(1000)};"),
            # A short training shows as much as a long one.
            (r"dataset_repeat = \d+;", "dataset_repeat = 2;"),
        ),
        "smoke.segments.0",
        "smoke/wan22-plan",
        ("parameter warmup_steps: ",),
    ),
    "a wheel": Edit(
        add_wheel,
        f"smoke.episodes.{EPISODE}.shot-reference",
        f"{EPISODE}/transcript-base",
        ("package pillow is new: ", "toolchain "),
        # A package that is not imported changes nothing, but who knows that beforehand.
        is_foreseeable=False,
    ),
    "a master": Edit(
        replace(PIPELINE, ("end_seconds = 230;", f"end_seconds = 229.{NUMBER};")),
        f"smoke.episodes.{EPISODE}.source",
        f"{EPISODE}/excerpt",
        ("parameter end_seconds: ",),
    ),
    "a comment": Edit(
        add_comment,
        f"smoke.episodes.{EPISODE}.clips",
        f"{EPISODE}/shots",
        ("code reelgraph/stages/shots.py: only comments or layout differ",),
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_plan_names_what_is_then_built(smoke: Path, tmp_path: Path, name: str) -> None:
    edit, checkout = EDITS[name], copy_checkout(tmp_path / "checkout")
    edit.apply(checkout)
    _, plan = reel_json("plan", edit.target, cwd=checkout)
    stages = {stage["name"]: stage for stage in plan["stages"]}
    certain = {stage for stage in stages if stages[stage]["state"] == "to-build"}
    expected = {stage for stage in stages if stages[stage]["expected"] == "rebuild"}
    unknown = {stage for stage in stages if stages[stage]["state"] == "unknown"}
    if edit.stage is None:
        assert certain | unknown == set()
    else:
        assert edit.stage in certain
        assert any(reason.startswith(edit.reasons) for reason in stages[edit.stage]["why"]), stages[edit.stage]["why"]
    finished = nixw("build", "--no-link", f"path:{checkout}#{edit.target}")
    assert finished.status == 0, finished.log[-3000:]
    by_build_name = {stage.replace("/", "-"): stage for stage in stages}
    # Environments are built on the way, and are no stages.
    built = {by_build_name[stage] for stage in finished.built_stages if stage in by_build_name}
    # What is certain is built, and nothing is that the plan called built already.
    assert certain <= built <= certain | unknown
    # An edit that changes what a stage makes is built on to the end, a comment is not.
    if edit.is_foreseeable:
        assert built == expected
    _, after = reel_json("plan", edit.target, cwd=checkout)
    assert {stage["state"] for stage in after["stages"]} == {"built"}
