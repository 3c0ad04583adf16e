"""Files as stages write them: the same value gives the same bytes, and a directory has one content hash."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as UTF-8 JSON with sorted keys, two spaces and a final newline."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read JSON, or raise a StageError that names the file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StageError(f"{path.name}: cannot be read ({error.strerror}); expected a JSON file") from error
    except ValueError as error:
        raise StageError(f"{path.name}: is not JSON ({error}); mend or rebuild it") from error


def file_hash(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file's bytes, read in pieces of 1 MiB."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def tree_files(directory: Path) -> dict[str, str]:
    """Return the hash of every file below ``directory`` by its relative POSIX path, without stage.json."""
    files = sorted(path for path in directory.rglob("*") if path.is_file() and path.name != "stage.json")
    return {path.relative_to(directory).as_posix(): file_hash(path) for path in files}


def content_hash(path: Path) -> str:
    """Return ``sha256:<hex>`` of a file, or of a stage output's file hashes.

    A stage output names its files' hashes in stage.json, so that gigabytes are not read again for each reader.
    """
    if path.is_file():
        return file_hash(path)
    manifest = path / "stage.json"
    files = read_json(manifest)["files"] if manifest.is_file() else tree_files(path)
    return f"sha256:{hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()}"
