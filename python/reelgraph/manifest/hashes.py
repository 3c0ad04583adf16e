"""Hashes of large files, remembered by size and time, so that a terabyte is read once."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from reelgraph.errors import StageError

PIECE_BYTES = 4 << 20


class Hashes:
    """A file of hashes, one line a file, written as soon as each is known: a killed run goes on where it was."""

    def __init__(self, place: Path | None = None) -> None:
        """``place`` is where they are kept; the user's cache by default."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._place = place or cache / "reelgraph/manifest/hashes.jsonl"
        self._known: dict[str, tuple[int, int, str]] = {}
        if self._place.is_file():
            for line in self._place.read_text(encoding="utf-8").splitlines():
                try:
                    path, size, time, digest = json.loads(line)
                except ValueError:
                    continue  # The line that a killed run did not finish.
                self._known[path] = (size, time, digest)

    def known(self, path: Path) -> str | None:
        """Return the hash of a file whose size and time are those of the last reading, or None."""
        state = path.stat()
        size, time, digest = self._known.get(str(path.resolve()), (None, None, None))
        return digest if (size, time) == (state.st_size, state.st_mtime_ns) else None

    def read(self, path: Path, on_bytes: Callable[[int], None] = lambda count: None) -> str:
        """Return a file's SHA-256 in hexadecimal digits; a file that changes meanwhile raises a StageError."""
        before = path.stat()
        if found := self.known(path):
            on_bytes(before.st_size)
            return found
        digest = hashlib.sha256()
        try:
            with path.open("rb", buffering=0) as stream:
                while piece := stream.read(PIECE_BYTES):
                    digest.update(piece)
                    on_bytes(len(piece))
        except OSError as error:
            raise StageError(
                f"{path.name}: cannot be read ({error.strerror}); check the disk and its permissions"
            ) from error
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise StageError(f"{path.name}: changed while it was read; wait until its copy is done and run this again")
        self._remember(path, after, digest.hexdigest())
        return digest.hexdigest()

    def _remember(self, path: Path, state: os.stat_result, digest: str) -> None:
        self._place.parent.mkdir(parents=True, exist_ok=True)
        name = str(path.resolve())
        self._known[name] = (state.st_size, state.st_mtime_ns, digest)
        with self._place.open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, state.st_size, state.st_mtime_ns, digest]) + "\n")
