"""Secrets in files that only their owner can read, and never anywhere else."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stage import validate

LOOPBACK = ("127.", "localhost", "[::1]")


@dataclass(frozen=True)
class Credentials:
    """Where a provider's interface is, and who asks. The password shows in no representation."""

    file: Path
    url: str
    user: str
    password: str = field(repr=False)


def check_private(path: Path) -> None:
    """Raise a StageError unless ``path`` is a regular file of this user that nobody else can read or change."""
    try:
        status = path.stat()
    except OSError as error:
        raise StageError(
            f"{path}: cannot be read ({error.strerror}); see docs/builder.md for what belongs in it", status=3
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise StageError(f"{path}: is not a regular file", status=3)
    if status.st_uid != os.geteuid():
        raise StageError(f"{path}: belongs to another user; a file of secrets must be your own", status=3)
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise StageError(f"{path}: others can read or change it (mode {mode:04o}); run: chmod 600 {path}", status=3)


def read_credentials(path: Path) -> Credentials:
    """Read ``{"url", "user", "password"}``, unless others can read the file or listen to the connection."""
    check_private(path)
    value = read_json(path)
    validate(value, "builder-credentials", path.name)
    parts = urlsplit(value["url"])
    if parts.scheme != "https" and not parts.netloc.startswith(LOOPBACK):
        raise StageError(f"{path}: url must start with https://, or the password could be read on the way", status=3)
    if "@" in parts.netloc:
        raise StageError(f"{path}: user and password belong in their own fields, not in url", status=3)
    return Credentials(path, value["url"].rstrip("/"), value["user"], value["password"])


class RefusedCredentials:
    """Remembers that a provider refused a credentials file, so that no later run is one more failed login."""

    def __init__(self, folder: Path) -> None:
        self._marker = folder / "refused-credentials"

    def check(self, file: Path) -> None:
        """Raise a StageError if this file, unchanged, was refused before."""
        if self._marker.is_file() and self._marker.read_text(encoding="utf-8") == self._state(file):
            raise StageError(
                f"{file}: the provider refused these credentials before, and three failed logins lock your address "
                f"out; mend the file, or delete {self._marker} to try them again",
                status=3,
            )

    def remember(self, file: Path) -> None:
        """Note that this file was refused as it is now."""
        self._marker.write_text(self._state(file), encoding="utf-8")

    @staticmethod
    def _state(file: Path) -> str:
        status = file.stat()
        return f"{file.resolve()} {status.st_ino} {status.st_mtime_ns} {status.st_size}"
