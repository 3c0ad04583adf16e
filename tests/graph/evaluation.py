"""Evaluation of the flake, of a copy of it, and of single Nix files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

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
