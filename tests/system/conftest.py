"""What system tests share: real Nix, real builds, a second store, a newer Nix. Nothing here is a stand-in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser import Browser, find_chromium

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
    path = f"{nix}:{os.environ['PATH']}" if nix else os.environ["PATH"]
    log = []
    # Output goes to a file: a pipe that nobody reads while the log is shown would fill up and stop Nix.
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [ROOT / "nixw", *arguments],
            cwd=cwd,
            env={**os.environ, "PATH": path},
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


def output_paths(
    attributes: list[str], *, flake: str | Path = ROOT, store: Path | None = None, nix: Path | None = None
) -> list[str]:
    """Build ``attributes`` of a flake and return their output paths in order."""
    where = ["--store", store] if store else []
    installables = [f"{flake}#{attribute}" for attribute in attributes]
    finished = nixw("build", "--no-link", "--json", "-L", *where, *installables, nix=nix)
    assert finished.status == 0, finished.log[-3000:]
    return [built["outputs"]["out"] for built in json.loads(finished.output)]


@pytest.fixture(scope="session")
def smoke() -> Path:
    """The built .#wan22-smoke."""
    return Path(output_paths(["wan22-smoke"])[0])


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless browser."""
    folder = tmp_path_factory.mktemp("browser")
    browser = Browser(find_chromium(folder), folder / "profile")
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def newer_nix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `nix` of a newer Debian release (2.26), relocated; fetched from the mirror that apt uses here."""
    return fetch_nix(tmp_path_factory.mktemp("newer-nix"), "trixie")


@pytest.fixture(scope="session")
def newest_nix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of the Debian release that is still being made (2.34 or newer)."""
    return fetch_nix(tmp_path_factory.mktemp("newest-nix"), "forky")


def fetch_nix(folder: Path, release: str) -> Path:
    """Fetch `nix` of a Debian release into a folder and return where it is."""
    subprocess.run([ROOT / "tests/system/newer_nix.sh", folder, release], check=True)
    return folder / "bin"


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
