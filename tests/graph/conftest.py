"""What graph tests share: a checkout to edit, and what it evaluates to; nothing is built."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from evaluation import ROOT, evaluate


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
