"""What was built from what: each stage's own record, and the record that each of its input hashes points to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json
from reelgraph.stage import validate


@dataclass(frozen=True)
class Record:
    """A stage's stage.json under the name that readers know it by, such as ``one/clips``, and its content hash."""

    name: str
    stage: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Any]
    files: Mapping[str, str]
    content: str

    def hashes(self) -> dict[str, list[str]]:
        """Return the hashes of each input by its name: one, one an episode, or none where it was left out."""
        lists = {
            name: list(value.values()) if isinstance(value, Mapping) else [value]
            for name, value in sorted(self.inputs.items())
        }
        return {name: [content for content in contents if content is not None] for name, contents in lists.items()}


def read_record(name: str, directory: Path) -> Record:
    """Read the record of the stage output ``directory``, or raise a StageError that names it."""
    if not (directory / "stage.json").is_file():
        raise StageError(f"{name}: has no stage.json, so nothing says how it was made; give the output of a stage")
    record = read_json(directory / "stage.json")
    validate(record, "stage", f"{name}: stage.json")
    return Record(name=name, content=content_hash(directory), **record)


def names_by_file(records: Iterable[Record]) -> dict[str, str]:
    """Return ``<record>/<file>`` by the hash of every file of every output; of several, the first by name."""
    return {
        content: f"{record.name}/{file}"
        for record in sorted(records, key=lambda record: record.name, reverse=True)
        for file, content in sorted(record.files.items(), reverse=True)
    }
