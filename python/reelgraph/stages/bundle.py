"""Put together what a person takes away: checkpoint, samples, report, and the chain of hashes behind them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import file_hash, write_json
from reelgraph.report.provenance import Record, names_by_file, read_record
from reelgraph.stage import Stage

# What may come from outside, so that a chain of hashes ends at it.
MATERIALS = ("bible", "cuts", "film", "labels", "master", "model", "overrides", "scenes", "speakers", "speech", "votes")


@dataclass(frozen=True)
class Inputs:
    """Outputs of checkpoint, samples and report, and those of every stage behind them by the names readers know."""

    checkpoint: Path
    samples: Path
    report: Path
    provenance: dict[str, Path]


@dataclass(frozen=True)
class Parameters:
    """None."""


def materials(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return the inputs that are no stage's output with the stages that read them; a broken chain is a StageError."""
    outputs, files = {record.content for record in records}, names_by_file(records)
    readers: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for name, content in ((name, content) for name, contents in record.hashes().items() for content in contents):
            if content in outputs:
                continue
            if name not in MATERIALS and content not in files:
                raise StageError(
                    f"{record.name}: its input '{name}' ({content}) is the output of no stage of the provenance and no "
                    f"material ({', '.join(MATERIALS)}); add the stage that made it, or build {record.name} again"
                )
            readers.setdefault((name, content), []).append(record.name)
    return [
        {"input": name, "content": content, "from": files.get(content), "stages": stages}
        for (name, content), stages in sorted(readers.items())
    ]


def copy_output(record: Record, source: Path, files: Sequence[str], target: Path) -> None:
    """Copy ``files`` of a stage output; raise a StageError that names a file which is not as its stage wrote it."""
    for file in files:
        copy = target / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not (source / file).is_file():
            raise StageError(f"{record.name}: {file} is missing; build it again")
        shutil.copyfile(source / file, copy)
        if file_hash(copy) != record.files.get(file):
            raise StageError(f"{record.name}: {file} is not what its stage.json says it wrote; build it again")


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write checkpoint/, samples/, index.html and provenance.json."""
    records = [read_record(name, directory) for name, directory in inputs.provenance.items()]
    listed = {record.content for record in records}
    ends = {name: read_record(name, getattr(inputs, name)) for name in ("checkpoint", "samples", "report")}
    for name, record in ends.items():
        if record.content not in listed:
            raise StageError(
                f"{name}: is not among the stages of the provenance; add it, so that its hashes can be followed"
            )
    provenance = {name: record.content for name, record in ends.items()}
    write_json(
        out / "provenance.json",
        {**provenance, "materials": materials(records), "stages": [asdict(record) for record in records]},
    )
    for name in ("checkpoint", "samples"):
        copy_output(ends[name], getattr(inputs, name), sorted(ends[name].files), out / name)
    copy_output(ends["report"], inputs.report, ["index.html"], out)


STAGE = Stage(name="bundle", inputs=Inputs, parameters=Parameters, outputs={"provenance.json": "provenance"}, run=run)

if __name__ == "__main__":
    STAGE.main()
