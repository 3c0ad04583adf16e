"""Cut one segment's steps out of a plan: more epochs leave these bytes, and so the trained segment, alone."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """The whole plan."""

    plan: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/segment-plan.parameters.json."""

    segment: int


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Copy the recipe and the steps of one segment; raise a StageError if the plan has no such segment."""
    steps = Path("segments") / f"{parameters.segment:02d}.jsonl"
    if not (inputs.plan / steps).is_file():
        raise StageError(
            f"segment {parameters.segment} is not in the plan; lower 'segments' of the pipeline or plan more epochs"
        )
    (out / "segments").mkdir()
    for file in (Path("recipe.json"), steps):
        shutil.copyfile(inputs.plan / file, out / file)


STAGE = Stage(name="segment-plan", inputs=Inputs, parameters=Parameters, outputs={}, run=run)

if __name__ == "__main__":
    STAGE.main()
