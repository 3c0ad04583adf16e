"""Plan an LTX-2 training run before any GPU is used: which clip, noise level, noise and learning rate at each step.

The plan is the dry run: plan.json is for readers, recipe.json and segments/NN.jsonl (one line an optimiser step) are
what ltx2-train follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reelgraph.files import read_json
from reelgraph.stage import Stage
from reelgraph.train.ltx_dataset import EncodedSet, join_encoded
from reelgraph.train.ltx_model import token_count
from reelgraph.train.ltx_schedule import LtxSettings, logit_normal_index
from reelgraph.train.planning import write_plan
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.schedule import Clip, RunSettings

RELEASED_MODEL = "ltx2-19b"


@dataclass(frozen=True)
class Inputs(EncodedSet):
    """A set that was encoded."""


@dataclass(frozen=True)
class Parameters(RunSettings):
    """See schemas/ltx2-plan.parameters.json."""

    uniform_probability: float

    def settings(self) -> LtxSettings:
        """Return the shared plan's settings: an unshifted scale of noise, all of it, for the one transformer."""
        scale = {"timestep_shift": 1.0, "expert": "all", "timestep_minimum": 0.0, "timestep_maximum": 1.0}
        return LtxSettings(**asdict(self), **scale)


def planned_clips(rows: list[dict[str, Any]], inputs: Inputs) -> list[Clip]:
    """Return the package's clips as the plan sees them; a StageError names one that was not encoded."""
    shapes: Mapping[str, list[int]] = join_encoded(rows, inputs)
    return [
        Clip(
            row["episode"],
            row["clip"],
            row["shot"],
            prompt_hash(row["prompt"]),
            token_count(shapes[row["video"]]),
            shapes[row["video"]][1],
        )
        for row in rows
    ]


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write plan.json, recipe.json and segments/NN.jsonl."""
    clips = planned_clips(read_json(inputs.package / "metadata.json"), inputs)
    write_plan(inputs.package, clips, parameters.settings(), RELEASED_MODEL, out, logit_normal_index)


OUTPUTS = {"plan.json": "plan", "recipe.json": "recipe"}
STAGE = Stage(name="ltx2-plan", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
