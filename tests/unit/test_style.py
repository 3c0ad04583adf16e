"""The tree is ruff-clean: what a reviewer need not look at."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", [("check",), ("format", "--check")], ids=" ".join)
def test_python_is_as_ruff_wants_it(command: tuple[str, ...]) -> None:
    files = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    finished = subprocess.run(
        ["ruff", *command, "--no-cache", *files.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout[-3000:]
