"""What a flake's evaluation gave is asked for once, as long as nothing that it reads is another."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reelgraph.errors import StageError
from reelgraph.graph.kept import evaluate_once


class Flake:
    """A checkout whose files have a store path, and what was evaluated of it."""

    def __init__(self, folder: Path) -> None:
        self.files, self.locks, self.evaluated = "/nix/store/one-source", {"nodes": {}}, []
        self.environment = {"PATH": str(folder)}
        self.put_nix(folder, "1")
        self.wanted = "everything"

    def question(self, function: str) -> str:
        return f"{function} of {self.wanted}"

    def put_nix(self, folder: Path, text: str) -> None:
        (folder / "nix").write_text(text)
        (folder / "nix").chmod(0o755)

    def nix(self, *arguments: str) -> SimpleNamespace:
        assert arguments[:2] == ("flake", "metadata")
        return SimpleNamespace(returncode=0, stdout=json.dumps({"path": self.files, "locks": self.locks}))

    def evaluate(self, installable: str, function: str, *options: str) -> Any:
        self.evaluated.append(installable)
        if function == "broken":
            raise StageError(f"{installable}: cannot be evaluated")
        return {"evaluation": len(self.evaluated)}

    def ask(self, attribute: str = "it", function: str = "f") -> int:
        return evaluate_once(self, ".", attribute, function)["evaluation"]


@pytest.fixture
def flake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flake:
    """A flake, and an empty folder for what is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    return Flake(tmp_path / "bin")


def kept(tmp_path: Path) -> list[Path]:
    """Return the files of kept evaluations."""
    return list((tmp_path / "cache/reelgraph/evaluations").iterdir())


def test_the_same_files_are_evaluated_once(flake: Flake) -> None:
    assert [flake.ask(), flake.ask()] == [1, 1]
    assert flake.evaluated == ["path:/nix/store/one-source#it"]


def test_whatever_is_another_is_evaluated_again(flake: Flake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert flake.ask() == 1
    flake.files = "/nix/store/two-source"
    assert flake.ask() == 2
    flake.locks = {"nodes": {"toolchain": {"locked": {"narHash": "sha256-another"}}}}
    assert flake.ask() == 3
    assert flake.ask("other") == 4
    assert flake.ask(function="g") == 5
    flake.put_nix(tmp_path / "bin", "of another size")
    assert flake.ask() == 6
    monkeypatch.setenv("NIX_CONFIG", "pure-eval = false")
    assert flake.ask() == 7
    flake.wanted = "one task's stages"
    assert flake.ask() == 8


def test_files_that_are_as_before_need_no_evaluation(flake: Flake) -> None:
    first = flake.files
    flake.ask()
    flake.files = "/nix/store/two-source"
    flake.ask()
    flake.files = first
    assert flake.ask() == 1


def test_a_complaint_names_what_the_user_named(flake: Flake) -> None:
    with pytest.raises(StageError, match=r"^\.#it: cannot be evaluated"):
        flake.ask(function="broken")


def test_what_was_kept_badly_is_evaluated_again(flake: Flake, tmp_path: Path) -> None:
    flake.ask()
    [file] = kept(tmp_path)
    file.write_bytes(file.read_bytes()[:-5])
    assert [flake.ask(), flake.ask()] == [2, 2]


def test_only_what_was_asked_for_last_is_kept(flake: Flake, tmp_path: Path) -> None:
    flake.ask("first")
    for number in range(12):
        # Asked for again and again, so it stays.
        assert flake.ask("first") == 1
        for age, file in enumerate(sorted(kept(tmp_path), key=lambda file: file.stat().st_mtime_ns)):
            os.utime(file, ns=(age, age))
        flake.ask(f"other-{number}")
    assert len(kept(tmp_path)) == 8


def test_where_nothing_can_be_kept_everything_is_evaluated(
    flake: Flake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [flake.ask(), flake.ask()] == [1, 2]
