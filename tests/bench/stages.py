"""What each stage costs in the sandbox and by hand, side by side, and what a build costs that has nothing to do.

Run: ./nixw run .#bench -- stages
Each stage is built once more with --rebuild, then its script is run by hand on the same inputs by the same Python.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PREFIX = "smoke.stages"


def evaluate(attribute: str, apply: str = "x: x") -> Any:
    """Return a flake attribute as data."""
    command = [ROOT / "nixw", "eval", "--json", f"{ROOT}#{attribute}", "--apply", apply]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)


def seconds(command: list[str | Path]) -> float:
    """Return the wall seconds of a command that must succeed."""
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def built(name: str) -> str:
    """Return a stage's output path."""
    command = [ROOT / "nixw", "build", "--no-link", "--json", f'{ROOT}#{PREFIX}."{name}"']
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]["outputs"]["out"]


def input_options(edges: dict[str, Any]) -> list[str] | None:
    """Return --input options for a stage's edges, or None if one of them is a file that only Nix knows by path."""
    options: list[str] = []
    for name, edge in edges.items():
        for key, target in edge.items() if isinstance(edge, dict) else [(None, edge)]:
            if target is None:
                continue
            if "/" not in target:
                return None
            path = built(target) + ("/episode.mp4" if target.endswith("/excerpt") else "")
            options += ["--input", f"{name}.{key}={path}" if key else f"{name}={path}"]
    return options


def by_hand(name: str, node: dict[str, Any], folder: Path) -> float | None:
    """Return the seconds of the stage's script outside Nix, or None where an input cannot be named by hand."""
    options = input_options(node["edges"])
    if options is None:
        return None
    parameters = folder / "parameters.json"
    parameters.write_text(json.dumps(node["parameters"]))
    environment = f"lib.x86_64-linux.python.environments.{node['environment']}"
    command = [ROOT / "nixw", "build", "--no-link", "--json", f"{ROOT}#{environment}"]
    python = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]["outputs"]["out"]
    module = f"reelgraph.stages.{name.split('/')[1].replace('-', '_')}"
    start = f"import sys; sys.path.insert(0, {str(ROOT / 'python')!r}); from {module} import STAGE; STAGE.main()"
    output = ["--parameters", parameters, "--output", folder / "out"]
    return seconds([f"{python}/bin/python3.11", "-c", start, *options, *output])


def main() -> None:
    """Print the table."""
    seconds([ROOT / "nixw", "build", "--no-link", f"{ROOT}#wan22-smoke"])
    warm = [seconds([ROOT / "nixw", "build", "--no-link", f"{ROOT}#wan22-smoke"]) for _ in range(5)]
    print(f"nothing to do: {statistics.median(warm):.2f} s (median of 5)")
    print(f"{'stage':44s} {'sandbox s':>9s} {'by hand s':>9s} {'ratio':>5s}")
    total = 0.0
    for name, node in evaluate("smoke.graph").items():
        inside = seconds([ROOT / "nixw", "build", "--no-link", "--rebuild", f'{ROOT}#{PREFIX}."{name}"'])
        total += inside
        with tempfile.TemporaryDirectory() as folder:
            outside = by_hand(name, node, Path(folder))
        side = f"{outside:9.1f} {inside / outside:5.2f}" if outside else f"{'-':>9s} {'-':>5s}"
        print(f"{name:44s} {inside:9.1f} {side}", flush=True)
    print(f"{'all stages, one after another':44s} {total:9.1f}")


if __name__ == "__main__":
    main()
