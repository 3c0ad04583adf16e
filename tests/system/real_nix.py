"""Real Nix as tests use it: ./nixw, what it built, and newer versions of Nix."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from together import once

from reelgraph.audit.clean_store import CleanStore
from reelgraph.graph.evaluate import Checkout

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Finished:
    """A finished nixw call: its exit status, what it printed, and what it said on the way."""

    status: int
    output: str
    log: str

    @property
    def built_stages(self) -> list[str]:
        """The names of the stages that were built, in order (``<set>-<stage>``)."""
        lines = [
            line for line in self.log.splitlines() if line.startswith("building '/nix/store/") and "-reel-" in line
        ]
        return [line.split("-reel-", 1)[1].removesuffix("...").removesuffix("'").removesuffix(".drv") for line in lines]


def nixw(*arguments: str | Path, nix: Path | None = None, cwd: Path = ROOT) -> Finished:
    """Run ./nixw, showing its log as it comes; ``nix`` puts another Nix first on PATH."""
    log = []
    # Output goes to a file: a pipe that nobody reads while the log is shown would fill up and stop Nix.
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [ROOT / "nixw", *arguments],
            cwd=cwd,
            env=_with_nix(nix),
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            print(f"    {line}", end="", file=sys.__stderr__, flush=True)
            log.append(line)
        status = process.wait()
        output.seek(0)
        return Finished(status, output.read(), "".join(log))


def build_and_kill(target: str, store: Path, sign: str, *, nix: Path | None = None) -> str:
    """Build ``target`` in ``store`` and kill every process of it as soon as a line has ``sign``; return the log."""
    process = subprocess.Popen(
        [ROOT / "nixw", "build", "--no-link", "-L", "--store", store, target],
        cwd=ROOT,
        env=_with_nix(nix),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    log = ""
    for line in process.stderr:
        log += line
        if sign in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.wait()
    assert sign in log, log[-3000:]
    return log


def _with_nix(nix: Path | None) -> dict[str, str]:
    """Return this process's environment, with another Nix first on PATH if one is given."""
    return {**os.environ, "PATH": f"{nix}:{os.environ['PATH']}"} if nix else dict(os.environ)


def output_paths(
    attributes: list[str], *, flake: str | Path = ROOT, store: Path | None = None, nix: Path | None = None
) -> list[str]:
    """Build ``attributes`` of a flake and return their output paths, of several in an order of Nix's own."""
    where = ["--store", store] if store else []
    installables = [f"{flake}#{attribute}" for attribute in attributes]
    finished = nixw("build", "--no-link", "--json", "-L", *where, *installables, nix=nix)
    assert finished.status == 0, finished.log[-3000:]
    return [built["outputs"]["out"] for built in json.loads(finished.output)]


def fetch_nix(release: str) -> Path:
    """Fetch `nix` of a Debian release, once for all tests of a run, and return where it is."""
    fetch = ROOT / "tests/system/newer_nix.sh"
    return once(f"nix-{release}", lambda folder: subprocess.run([fetch, folder, release], check=True)) / "bin"


@contextmanager
def clean_store(folder: Path, attributes: Sequence[str]) -> Iterator[Path]:
    """Yield a store that has these attributes of this checkout, as built here, and what they refer to; nothing else."""
    clean = CleanStore(Checkout(ROOT), folder)
    clean.prepare(output_paths(list(attributes)))
    # The files are there, linked in seconds; of which derivations they are, Nix's own copying tells.
    copied = nixw("copy", "--no-check-sigs", "--to", folder, *(f".#{attribute}" for attribute in attributes))
    assert copied.status == 0, copied.log[-3000:]
    yield folder
    clean.remove()


def copy_of_checkout(target: Path) -> Path:
    """Copy what git knows of this checkout, as it is in the working tree."""
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, files.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target
