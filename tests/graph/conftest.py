"""What graph tests share: evaluation of the flake, of a copy of it, and of single Nix files; nothing is built."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


class EvaluationError(Exception):
    """What Nix said when it could not evaluate."""


def evaluate(checkout: Path, attribute: str, apply: str = "x: x") -> Any:
    """Return the JSON value of a function applied to a flake attribute of ``checkout``."""
    command = [str(ROOT / "nixw"), "eval", "--json", f"path:{checkout}#{attribute}", "--apply", apply]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=checkout)
    if finished.returncode:
        raise EvaluationError(finished.stderr)
    return json.loads(finished.stdout)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of this checkout that a test may edit."""
    copy = tmp_path / "checkout"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def derivations() -> Callable[[Path], dict[str, str]]:
    """Return the derivation path of every smoke stage of a checkout, by stage name."""
    return lambda checkout: evaluate(checkout, "smoke.stages", "builtins.mapAttrs (_: stage: stage.drvPath)")
