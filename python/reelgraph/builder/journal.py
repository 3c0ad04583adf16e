"""The journal: what was done about which lease, on disk before the next step is taken.

One JSON object a line, appended and synced. A line without its end was never acknowledged, so nothing was done on the
strength of it, and it is dropped. Anything else that cannot be read stops every command but a cancellation by number.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from reelgraph.builder.clock import Clock, as_text, from_text
from reelgraph.errors import StageError
from reelgraph.stage import validate

# What belongs to the account and to no lease is noted under this name.
ACCOUNT = "account"


@dataclass(frozen=True)
class Entry:
    """One line: what happened to which lease, when, and with what."""

    at: datetime
    lease: str
    event: str
    details: dict[str, Any]


class Journal:
    """The journal in a folder of this user, which is made if it is not there."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self._clock = folder, clock
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            raise StageError(f"{folder}: others can read or change it; run: chmod 700 {folder}", status=3)
        self._file = folder / "journal.jsonl"

    def entries(self) -> list[Entry]:
        """Return every entry, oldest first."""
        try:
            content = self._file.read_bytes()
        except FileNotFoundError:
            return []
        *lines, _torn = content.split(b"\n")
        return [self._parse(number, line) for number, line in enumerate(lines, start=1)]

    def _parse(self, number: int, line: bytes) -> Entry:
        try:
            return _parse_line(line)
        except (ValueError, StageError) as error:
            raise StageError(
                f"{self._file}: line {number} cannot be read ({error}); look at the provider's web page for machines "
                "that are billed, cancel them with 'reel builder cancel --server NUMBER', then mend or move the "
                "journal"
            ) from error

    def append(self, lease: str, event: str, **details: Any) -> None:
        """Add an entry; when this returns it is on disk."""
        value = {"at": as_text(self._clock.now()), "lease": lease, "event": event, "details": details}
        line = json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
        _parse_line(line)
        try:
            with self._locked("journal.lock", wait=True):
                new = not self._file.exists()
                descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
                try:
                    _drop_torn_line(descriptor)
                    _write_synced(descriptor, line + b"\n")
                finally:
                    os.close(descriptor)
                if new:
                    _sync_folder(self.folder)
        except OSError as error:
            raise StageError(
                f"{self._file}: cannot be written ({error.strerror}); nothing is ordered without it"
            ) from error

    @contextmanager
    def ordering(self) -> Iterator[None]:
        """Hold the right to order; a second process that wants it is told so."""
        with self._locked("order.lock", wait=False):
            yield

    @contextmanager
    def _locked(self, name: str, *, wait: bool) -> Iterator[None]:
        descriptor = os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise StageError("another 'reel builder order' is running for this user; wait for its end") from error
            yield
        finally:
            os.close(descriptor)


@lru_cache(maxsize=4096)
def _parse_line(line: bytes) -> Entry:
    value = json.loads(line)
    validate(value, "builder-journal", "entry")
    if value["event"] == "intent":
        validate(value["details"]["quote"], "builder-quote", "quote")
    return Entry(from_text(value["at"]), value["lease"], value["event"], value["details"])


def _drop_torn_line(descriptor: int) -> None:
    """Put the file's end, and the position, behind the last whole line."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    end = size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        end -= 1
    if end != size:
        os.ftruncate(descriptor, end)
        os.lseek(descriptor, end, os.SEEK_SET)


def _write_synced(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
