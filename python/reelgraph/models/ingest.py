"""Bring a model's locked files into the store: from the hub, or from a folder on disk; and check what is there.

A file waits in the cache folder until it is whole and its hash is right, and only then enters the store, under the path
that the fixed-output derivation of nix/models/file.nix has anyway. Nothing is fetched inside a build: Nix throws a
killed build's output away, so a cut connection would cost all of it, and a token would have to reach the sandbox.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from reelgraph.byte_progress import byte_progress
from reelgraph.errors import StageError
from reelgraph.models import store
from reelgraph.models.catalogue import LockedFile, Model, require_locked

PIECE = 1 << 20
Fetch = Callable[[Model, LockedFile, Path, Callable[[int], None]], None]


@dataclass
class Outcome:
    """What happened to a model's files: how many were there already and how many came in."""

    present: int = 0
    added: int = 0


@dataclass
class State:
    """What the store has of a model: files that are there and right, missing, or altered (with their sha256)."""

    right: list[LockedFile] = field(default_factory=list)
    missing: list[LockedFile] = field(default_factory=list)
    altered: dict[LockedFile, str] = field(default_factory=dict)


def cache_folder() -> Path:
    """Return where unfinished files wait, by hash, so that another revision or model with the same file goes on too."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reelgraph/models"


def ingest(model: Model, paths: Mapping[LockedFile, Path], fetch: Fetch, jobs: int = 4) -> Outcome:
    """Fetch what the store lacks of a locked model, ``jobs`` files at a time, and keep all from garbage collection.

    After a failure the other files stop where they are, and the first StageError is raised: what arrived waits for the
    next call, and finished files stay in the store.
    """
    require_locked(model)
    absent = store.missing_paths(paths[file] for file in model.files)
    wanted = {paths[file]: file for file in model.files if paths[file] in absent}
    _check_space(model, wanted, jobs)
    _keep(model, {file: paths[file] for file in model.files if paths[file] not in absent})

    def bring(path: Path, file: LockedFile, on_bytes: Callable[[int], None]) -> None:
        with _waiting_place(file, store.store_name(path)) as place:
            if store.missing_paths([path]):
                fetch(model, file, place, on_bytes)
                print(f"ingest {model.name}: {file.path} is whole and right; adding it to the store", file=sys.stderr)
                store.add_file(place, path)
        _keep(model, {file: path})

    remaining = sum(file.size - _waiting(file, store.store_name(path)) for path, file in wanted.items())
    with byte_progress(f"ingest {model.name}", remaining) as on_bytes:
        _all(jobs, on_bytes, [partial(bring, path, file) for path, file in wanted.items()])
    return Outcome(present=len(model.files) - len(wanted), added=len(wanted))


def add_local(model: Model, paths: Mapping[LockedFile, Path], folder: Path) -> Outcome:
    """Add a model's files from ``folder``, laid out like its repository, after checking every one against the lock."""
    require_locked(model)
    what = f"model '{model.name}'"
    for file in model.files:
        source = folder / file.path
        if not source.is_file():
            raise StageError(
                f"{what}: {source} is missing; the folder must be laid out like {model.repository}", status=3
            )
        if (size := source.stat().st_size) != file.size:
            raise StageError(
                f"{what}: {file.path}: has {size} bytes, the lock says {file.size}; "
                "it is cut short or of another revision"
            )
    with byte_progress(f"check {model.name}", model.size) as on_bytes:
        for file in model.files:
            if (found := _sha256(folder / file.path, on_bytes)) != file.sha256:
                raise StageError(
                    f"{what}: {file.path}: wrong bytes: its sha256 is {found}, the lock says {file.sha256}; "
                    "copy it again"
                )
    absent = store.missing_paths(paths[file] for file in model.files)
    wanted = {paths[file]: file for file in model.files if paths[file] in absent}
    total = sum(file.size for file in wanted.values())
    if wanted:
        store.check_space(next(iter(wanted)).parent, total, what)
    with byte_progress(f"add {model.name}", total) as on_bytes:
        for path, file in wanted.items():
            with _named((folder / file.path).resolve(), file, store.store_name(path)) as source:
                store.add_file(source, path)
            on_bytes(file.size)
    _keep(model, paths)
    return Outcome(present=len(model.files) - len(wanted), added=len(wanted))


def verify(model: Model, paths: Mapping[LockedFile, Path]) -> State:
    """Read every file that the store has of a locked model and compare its hash with the lock's."""
    require_locked(model)
    state = State()
    absent = store.missing_paths(paths[file] for file in model.files)
    present = [file for file in model.files if paths[file] not in absent]
    state.missing = [file for file in model.files if paths[file] in absent]
    with byte_progress(f"verify {model.name}", sum(file.size for file in present)) as on_bytes:
        for file in present:
            found = _sha256(paths[file], on_bytes)
            if found == file.sha256:
                state.right.append(file)
            else:
                state.altered[file] = found
    return state


class _Stopped(Exception):
    """Another file failed, or the user did not want to wait."""


def _all(jobs: int, on_bytes: Callable[[int], None], calls: Sequence[Callable[[Callable[[int], None]], None]]) -> None:
    """Run ``calls``, ``jobs`` at a time; after a failure or Ctrl-C stop all at their next piece, and raise it."""
    stop = threading.Event()

    def on_piece(count: int) -> None:
        if stop.is_set():
            raise _Stopped
        on_bytes(count)

    def run(call: Callable[[Callable[[int], None]], None]) -> None:
        try:
            on_piece(0)
            call(on_piece)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        running = [pool.submit(run, call) for call in calls]
        try:
            wait(running, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)
    failures = [future.exception() for future in running if not future.cancelled()]
    for failure in failures:
        if failure is not None and not isinstance(failure, _Stopped):
            raise failure


@contextmanager
def _waiting_place(file: LockedFile, name: str) -> Iterator[Path]:
    """Give the file's place in the cache to one process at a time; it is gone once the block ends without an error."""
    folder = cache_folder() / file.sha256
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{file.sha256}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(exist_ok=True)
        yield folder / name
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.name).unlink(missing_ok=True)


def _waiting(file: LockedFile, name: str) -> int:
    place = cache_folder() / file.sha256 / name
    return min(place.stat().st_size, file.size) if place.exists() else 0


def _check_space(model: Model, wanted: Mapping[Path, LockedFile], jobs: int) -> None:
    """A file is in the cache and in the store for a moment: both need room, once where they are one file system."""
    if not wanted:
        return
    what, needed = f"model '{model.name}'", sum(file.size for file in wanted.values())
    largest = sum(sorted((file.size for file in wanted.values()), reverse=True)[:jobs])
    waiting = sum(_waiting(file, store.store_name(path)) for path, file in wanted.items())
    cache, folder = cache_folder(), next(iter(wanted)).parent
    cache.mkdir(parents=True, exist_ok=True)
    if folder.exists() and cache.stat().st_dev == folder.stat().st_dev:
        store.check_space(folder, needed + largest - waiting, what)
    else:
        store.check_space(folder, needed, what)
        store.check_space(cache, largest - waiting, what)


@contextmanager
def _named(source: Path, file: LockedFile, name: str) -> Iterator[Path]:
    """Give ``source`` the name that it has in the store, by a hard link, or by a copy where there can be none."""
    if source.name == name:
        yield source
        return
    with _waiting_place(file, name) as place:
        place.unlink(missing_ok=True)
        try:
            place.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, place)
        yield place


def _keep(model: Model, paths: Mapping[LockedFile, Path]) -> None:
    for file, path in paths.items():
        store.keep(path, store.roots_folder() / model.name / file.sha256)


def _sha256(path: Path, on_bytes: Callable[[int], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
            on_bytes(len(piece))
    return digest.hexdigest()
