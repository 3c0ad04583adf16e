"""An edit changes the derivations of what it touches and of what follows, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Derivations = Callable[[Path], dict[str, str]]
EPISODE = "big-buck-bunny-excerpt"


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Return the names whose derivation differs."""
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def append(path: Path, text: str) -> None:
    """Add a line at the end of a file."""
    path.write_text(path.read_text() + text)


@pytest.mark.parametrize(
    "file",
    ["README.md", "docs/new.md", "tests/unit/new.py", "nixw", "python/reelgraph/cli/main.py", "python/pyproject.toml"],
)
def test_documents_tests_and_commands_change_no_stage(checkout: Path, derivations: Derivations, file: str) -> None:
    before = derivations(checkout)
    path = checkout / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text((path.read_text() if path.exists() else "") + "\n# edited\n")
    assert changed(before, derivations(checkout)) == set()


def test_the_trainer_changes_the_trainer_and_what_follows_it(checkout: Path, derivations: Derivations) -> None:
    before = derivations(checkout)
    append(checkout / "python/reelgraph/stages/wan22_train.py", "\n# edited\n")
    segments = {f"smoke-segment-{index}/wan22-train" for index in range(3)}
    followers = {"smoke/checkpoint", "smoke/samples", "smoke/report", "smoke/bundle"}
    assert changed(before, derivations(checkout)) == segments | followers


def test_one_episodes_stage_does_not_touch_the_stages_before_it(checkout: Path, derivations: Derivations) -> None:
    before = derivations(checkout)
    append(checkout / "python/reelgraph/stages/clips.py", "\n# edited\n")
    after = changed(before, derivations(checkout))
    assert {f"{EPISODE}/clips", f"{EPISODE}/wan22-latents", "smoke/wan22-package"} <= after
    assert not after & {
        f"{EPISODE}/{stage}" for stage in ("excerpt", "source", "shots", "transcript-base", "shot-reference")
    }


def test_a_label_changes_no_picture_stage(checkout: Path, derivations: Derivations) -> None:
    before = derivations(checkout)
    labels = checkout / "materials/smoke/labels.yaml"
    labels.write_text(labels.read_text().replace("the", "a", 1))
    after = changed(before, derivations(checkout))
    assert f"{EPISODE}/bootstrap" in after and f"{EPISODE}/caption" in after
    assert not after & {f"{EPISODE}/clips", f"{EPISODE}/wan22-latents", f"{EPISODE}/transcript-base"}
