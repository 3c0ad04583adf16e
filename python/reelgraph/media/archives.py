"""Files out of archives, copied piece by piece, so that a film is never held in memory."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from reelgraph.errors import StageError

PIECE_BYTES = 1 << 20


def unpack_tar(archive: Path, targets: Mapping[str, Path]) -> None:
    """Copy files of a .tar.gz archive, by their path in it, to ``targets``; a missing one raises a StageError."""
    wanted = dict(targets)
    try:
        with tarfile.open(archive, "r|gz") as opened:
            for entry in opened:
                if entry.isfile() and entry.name in wanted:
                    _copy(opened.extractfile(entry), wanted.pop(entry.name))
                if not wanted:
                    return
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise StageError(
            f"{archive.name}: cannot be unpacked ({error}); expected a whole .tar.gz, fetch it again"
        ) from error
    if wanted:
        raise StageError(f"{archive.name}: holds no file '{min(wanted)}'; check the path and the archive's version")


def unpack_zip(archive: Path, member: str, target: Path) -> None:
    """Copy a file of a zip archive to ``target``; a missing or damaged one raises a StageError."""
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member) as stream:
            _copy(stream, target)
    except KeyError as error:
        raise StageError(
            f"{archive.name}: holds no file '{member}'; check the path and the archive's version"
        ) from error
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise StageError(
            f"{archive.name}: cannot be unpacked ({error}); expected a whole zip archive, fetch it again"
        ) from error


def _copy(stream: IO[bytes], target: Path) -> None:
    with target.open("wb") as file:
        shutil.copyfileobj(stream, file, PIECE_BYTES)
