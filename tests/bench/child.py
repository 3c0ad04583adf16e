"""Stages and other programs as child processes: what each costs in time, processor time and memory."""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
# As a derivation starts a stage: the fixed environment first, then the stage's libraries.
START = (
    "from reelgraph.determinism import restart_in_fixed_environment; restart_in_fixed_environment(); "
    "from importlib import import_module; import sys; "
    "import_module(f'reelgraph.stages.{sys.argv.pop(1)}').STAGE.main()"
)


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock, seconds of all processors, and the most memory at once in MB."""

    seconds: float
    processor: float
    megabytes: float


def run(command: list[str | Path]) -> Cost:
    """Run a program that must succeed, without its output, and return what it cost."""
    start = time.monotonic()
    # Not Popen.wait, which keeps what the child used to itself.
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


@cache
def python(environment: str) -> Path:
    """Return the Python of one of the project's environments."""
    attribute = f"{ROOT}#lib.x86_64-linux.python.environments.{environment}"
    command = [ROOT / "nixw", "build", "--no-link", "--json", attribute]
    built = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return Path(built[0]["outputs"]["out"]) / "bin/python3.11"


def stage(name: str, environment: str, folder: Path, parameters: dict, **inputs: Path) -> Cost:
    """Run a stage of ``environment`` by hand; its output is ``folder``/``name`` until it is run again."""
    settings, out = folder / f"{name}.parameters", folder / f"{name}-{time.monotonic_ns()}"
    settings.write_text(json.dumps(parameters))
    command = [python(environment), "-c", START, name, "--output", out, "--parameters", settings]
    for key, path in inputs.items():
        command += ["--input", f"{key}={path}"]
    cost = run(command)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(out)
    return cost
