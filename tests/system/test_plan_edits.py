"""`reel plan` after an edit names the stages that are then built, and no other: checked by building."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_nix import nixw
from reel import copy_checkout, reel_json

EPISODE = "big-buck-bunny-excerpt"


@dataclass(frozen=True)
class Edit:
    """An edit of a checkout, the target that is planned and built, and what the plan must name of it.

    ``is_foreseeable`` is whether every stage behind the edit comes out otherwise, or every one the same. Else the edit
    is made twice: once a store has seen what it changes and what it does not, the plan knows.
    """

    apply: Callable[[Path], None]
    target: str
    stage: str | None
    reasons: tuple[str, ...]
    is_foreseeable: bool = True


# Every run makes edits that no run before it made, so that nothing of them is built yet.
# Other tests seed the shared generator.
DRAW = random.SystemRandom()


def word() -> str:
    """Return a word that no text has."""
    return "".join(DRAW.choices("abcdefghijklmnopqrstuvwxyz", k=8))


def number() -> str:
    """Return three digits; Nix 2.8 keeps six of a number."""
    return str(DRAW.randrange(100, 1000))


def replace(file: str, *edits: tuple[str, str]) -> Callable[[Path], None]:
    """Return the edit that replaces each pattern's first occurrence in a file; each WORD and NUMBER is drawn anew."""

    def apply(checkout: Path) -> None:
        path = checkout / file
        for pattern, text in edits:
            drawn = re.sub("WORD|NUMBER", lambda found: word() if found[0] == "WORD" else number(), text)
            edited, count = re.subn(pattern, drawn, path.read_text(), count=1)
            assert count == 1, f"{file} has no '{pattern}'"
            path.write_text(edited)

    return apply


def add_wheel(checkout: Path) -> None:
    """Give the environment of speech recognition a package more, in an order that no environment had before."""
    locks = checkout / "python/locks/x86_64-linux"
    asr, media = (locks / "asr.txt").read_text().splitlines(), (locks / "media.txt").read_text().splitlines()
    more = next(line for line in media if line.startswith("pillow=="))
    asr = [*(line for line in asr if line != more), more]
    (locks / "asr.txt").write_text("\n".join(DRAW.sample(asr, len(asr))) + "\n")


def add_comment(checkout: Path) -> None:
    """Put a comment at the end of a stage's script."""
    script = checkout / "python/reelgraph/stages/shots.py"
    script.write_text(f"{script.read_text()}\n# {word()}\n")


PIPELINE = "nix/pipelines/smoke.nix"
EDITS = {
    "README": Edit(lambda checkout: (checkout / "README.md").write_text(word()), "wan22-smoke", None, ()),
    "an override": Edit(
        replace("materials/smoke/overrides.yaml", (r"almost \w+;", "almost WORD;")),
        "smoke.plan",
        f"{EPISODE}/reviewed",
        ("input overrides differs (overrides.yaml)",),
    ),
    "a line of the bible": Edit(
        replace("materials/smoke/bible.yaml", (r"short [\w-]+ fur", "short WORD fur")),
        "wan22-smoke",
        "smoke/bible",
        ("input bible differs (bible.yaml)",),
        # Which stages the looks of a character reach, only building tells: names alone stay as they were.
        is_foreseeable=False,
    ),
    "a boundary of clips": Edit(
        replace(
            PIPELINE,
            (r"trim_frames = \d+;", "trim_frames = 3;"),
            (r"repeat_change = 0.1\d*", "repeat_change = 0.1NUMBER"),
            (r"still_share = 0.95\d*", "still_share = 0.95NUMBER"),
        ),
        # Further on somebody has to write labels for the new clips.
        f"smoke.episodes.{EPISODE}.clips",
        f"{EPISODE}/clips",
        ("parameter repeat_change: ",),
    ),
    "a flag of the trainer": Edit(
        replace(
            PIPELINE,
            (r"warmup_steps = \d+;", "warmup_steps = NUMBERNUMBER;"),
            # A short training shows as much as a long one.
            (r"dataset_repeat = \d+;", "dataset_repeat = 2;"),
        ),
        "smoke.segments.0",
        "smoke/wan22-plan",
        ("parameter warmup_steps: ",),
    ),
    "a wheel": Edit(
        add_wheel,
        "wan22-smoke",
        f"{EPISODE}/transcript-base",
        ("package pillow is new: ", "toolchain "),
        # A package that is not imported changes nothing, but who knows that beforehand.
        is_foreseeable=False,
    ),
    "a master": Edit(
        replace(
            PIPELINE,
            (r"start_seconds = [\d.]+;", "start_seconds = 150.NUMBER;"),
            (r"end_seconds = [\d.]+;", "end_seconds = 229.NUMBER;"),
        ),
        f"smoke.episodes.{EPISODE}.source",
        f"{EPISODE}/excerpt",
        ("parameter end_seconds: ",),
    ),
    "a comment": Edit(
        add_comment,
        "wan22-smoke",
        f"{EPISODE}/shots",
        ("code reelgraph/stages/shots.py: only comments or layout differ",),
    ),
}


def plan_and_build(checkout: Path, edit: Edit) -> tuple[set[str], set[str]]:
    """Plan and build the edited target; return the stages that the plan expected to be built, and those that were."""
    edit.apply(checkout)
    _, plan = reel_json("plan", edit.target, cwd=checkout)
    stages = {stage["name"]: stage for stage in plan["stages"]}
    certain = {stage for stage in stages if stages[stage]["state"] == "to-build"}
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
    _, after = reel_json("plan", edit.target, cwd=checkout)
    assert {stage["state"] for stage in after["stages"]} == {"built"}
    return {stage for stage in stages if stages[stage]["expected"] == "rebuild"}, built


@pytest.mark.parametrize("name", EDITS)
def test_a_plan_names_what_is_then_built(smoke: Path, tmp_path: Path, name: str) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    expected, built = plan_and_build(checkout, EDITS[name])
    if not EDITS[name].is_foreseeable:
        expected, built = plan_and_build(checkout, EDITS[name])
    assert built == expected
