"""A stage's derivation sees exactly the modules that its script imports, no more and no fewer."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "python"
# The runner's own modules, which mkStage adds to every stage.
RUNNER = {f"{name}.py" for name in ("__init__", "determinism", "errors", "files", "progress", "stage")}


def definitions() -> dict[str, dict]:
    """Return nix/stages as data."""
    command = ["nix-instantiate", "--eval", "--strict", "--json", "--expr", "import ./nix/stages"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def imported_files(path: Path) -> set[str]:
    """Return the project's files that ``path`` imports, directly or not, relative to the package."""
    found: set[str] = set()
    pending = [path]
    while pending:
        for node in ast.walk(ast.parse(pending.pop().read_text())):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in (name for name in names if name.startswith("reelgraph.")):
                file = PYTHON / (name.replace(".", "/") + ".py")
                relative = file.relative_to(PYTHON / "reelgraph").as_posix()
                if file.is_file() and relative not in found:
                    found.add(relative)
                    pending.append(file)
    return found


@pytest.mark.parametrize("definition", definitions().values(), ids=lambda definition: definition["name"])
def test_declared_modules_are_the_imported_ones(definition: dict) -> None:
    script = PYTHON / "reelgraph/stages" / (definition["name"].replace("-", "_") + ".py")
    code = {module for module in definition["modules"] if module.endswith(".py")}
    assert code == imported_files(script) - RUNNER, f"mend 'modules' in nix/stages/{definition['name']}.nix"


@pytest.mark.parametrize("definition", definitions().values(), ids=lambda definition: definition["name"])
def test_declared_schemas_exist_and_cover_the_outputs(definition: dict) -> None:
    stage = importlib.import_module(f"reelgraph.stages.{definition['name'].replace('-', '_')}").STAGE
    assert set(stage.outputs.values()) <= set(definition["schemas"])
    schemas = PYTHON / "reelgraph/schemas"
    assert (schemas / f"{definition['name']}.parameters.json").is_file()
    assert [schema for schema in definition["schemas"] if not (schemas / f"{schema}.json").is_file()] == []
