"""What the processes of one run of the tests have in common: a folder, and one turn at apt."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_VARIABLE = "REEL_TESTS_FOLDER"


def begin() -> None:
    """Make the folder; processes that are started from now on inherit it."""
    os.environ[_VARIABLE] = tempfile.mkdtemp(prefix="reel-tests-")


def end() -> None:
    """Delete the folder."""
    shutil.rmtree(os.environ.pop(_VARIABLE))


@contextmanager
def alone() -> Iterator[Path]:
    """Yield the folder while no other process of this run does: apt serves one at a time."""
    folder = Path(os.environ[_VARIABLE])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def once(name: str, make: Callable[[Path], object]) -> Path:
    """Return a path of the folder, which ``make`` has filled for the first process that asked for it."""
    with alone() as folder:
        made = folder / f"{name}.made"
        if not made.exists():
            make(folder / name)
            made.touch()
        return folder / name
