"""`reel` as a user calls it, and copies of this checkout with stages of a test's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What a build needs of a checkout.
PARTS = ("flake.nix", "flake.lock", "nixw", "nix", "python", "materials")
PROGRAM = "from reelgraph.cli.main import main; main(prog_name='reel')"


def reel_command(*arguments: str | Path) -> list[str]:
    """Return the command line of a `reel` call with this project's code."""
    return [sys.executable, "-c", PROGRAM, *map(str, arguments)]


def reel_environment() -> dict[str, str]:
    """Return the environment of a `reel` call."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "python")}


def reel(*arguments: str | Path, cwd: Path = ROOT) -> tuple[int, str]:
    """Call `reel`, its progress shown as it comes; return exit status and what it printed."""
    finished = subprocess.run(
        reel_command(*arguments), cwd=cwd, env=reel_environment(), stdout=subprocess.PIPE, text=True, check=False
    )
    return finished.returncode, finished.stdout


def reel_json(*arguments: str | Path, cwd: Path = ROOT) -> tuple[int, Any]:
    """Call `reel … --json`; return exit status and value."""
    status, output = reel(*arguments, "--json", cwd=cwd)
    return status, json.loads(output)


def copy_checkout(folder: Path) -> Path:
    """Copy what a build needs of this checkout; the copy is no git repository."""
    folder.mkdir(parents=True)
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    return folder


def plant_stage(checkout: Path, name: str, script: str, fields: Sequence[str], expression: str) -> str:
    """Add a stage of strings as parameters, and an attribute of stages that ``expression`` makes of it.

    Returns the attribute. ``expression`` may use ``mkStage`` and ``stages``.
    """
    properties = {field: {"type": ["string", "number"]} for field in fields}
    schema = {"type": "object", "additionalProperties": False, "required": list(fields), "properties": properties}
    (checkout / f"python/reelgraph/stages/{name}.py").write_text(script)
    (checkout / f"python/reelgraph/schemas/{name}.parameters.json").write_text(json.dumps(schema))
    definition = (
        f'{{ name = "{name}"; kind = "{name}"; environment = "runner"; inputs = {{ }}; schemas = [ ]; modules = [ ]; }}'
    )
    (checkout / f"nix/stages/{name}.nix").write_text(definition)
    wiring = checkout / "nix/default.nix"
    before, lib, after = wiring.read_text().partition("  lib = {\n")
    assert lib
    wiring.write_text(f"{before}{lib}    planted = {expression};\n{after}")
    return "lib.x86_64-linux.planted"
