"""The name of its statement in a checkpoint's own metadata, put in and taken out again without a trace.

A statement names its checkpoint by hash, so the checkpoint that it names cannot hold the statement's hash as well. The
hash in a statement is that of the file as its stage wrote it; the stamped file differs by one entry of its metadata and
gives the stage's bytes back when that is taken out.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError

STAMP = "reelgraph.statement"
_LARGEST_HEADER = 100_000_000
_PIECE = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """A safetensors file: its header as JSON, and where its tensors' bytes begin."""

    path: Path
    header: Mapping[str, Any]
    start: int

    @property
    def metadata(self) -> dict[str, str]:
        """The header's metadata."""
        return dict(self.header.get("__metadata__", {}))

    @property
    def statement(self) -> str | None:
        """The hash of the statement that the file names."""
        return self.metadata.get(STAMP)

    def header_bytes(self, statement: str | None) -> bytes:
        """Return the file's beginning, its length and header, with another statement's hash or none."""
        header = dict(self.header)
        metadata = {name: value for name, value in self.metadata.items() if name != STAMP}
        if statement is not None:
            metadata[STAMP] = statement
        if metadata:
            header["__metadata__"] = metadata
        else:
            header.pop("__metadata__", None)
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        return len(text).to_bytes(8, "little") + text

    def digest(self, statement: str | None) -> str:
        """Return the hash that the whole file has with another statement's hash, or none, in its metadata."""
        digest = hashlib.sha256(self.header_bytes(statement))
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            while piece := stream.read(_PIECE):
                digest.update(piece)
        return f"sha256:{digest.hexdigest()}"

    def tensors_digest(self) -> str:
        """Return the hash of the tensors' bytes alone."""
        digest = hashlib.sha256()
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            while piece := stream.read(_PIECE):
                digest.update(piece)
        return f"sha256:{digest.hexdigest()}"

    def write(self, target: Path, statement: str | None) -> None:
        """Write the file with another statement's hash, or none, in its metadata."""
        with self.path.open("rb") as source, target.open("wb") as stream:
            stream.write(self.header_bytes(statement))
            source.seek(self.start)
            shutil.copyfileobj(source, stream, _PIECE)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint's header, or raise a StageError that names the file."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= min(_LARGEST_HEADER, path.stat().st_size):
                raise ValueError("its header's length is impossible")
            header = json.loads(stream.read(length))
        if not isinstance(header, dict) or not isinstance(header.get("__metadata__", {}), dict):
            raise ValueError("its header is no list of tensors")
    except OSError as error:
        raise StageError(
            f"{path}: cannot be read ({error.strerror}); name a checkpoint (.safetensors)", status=2
        ) from error
    except ValueError as error:
        raise StageError(
            f"{path}: is no safetensors file ({error}); fetch it again from where it was released"
        ) from error
    return Checkpoint(path, header, 8 + length)
