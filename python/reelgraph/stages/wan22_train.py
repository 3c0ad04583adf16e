"""Train one segment of a planned LoRA run: from the previous segment's state to the next, as if never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.stage import Stage
from reelgraph.train.lora import inject_lora
from reelgraph.train.memory import WAN22, choose_recompute
from reelgraph.train.model import transformer_part
from reelgraph.train.plan import Step
from reelgraph.train.processes import Processes
from reelgraph.train.segment import Prepared, SegmentParameters, run_segment
from reelgraph.train.trainer import Trainer, eight_bits_bytes, make_trainer
from reelgraph.train.wan import load_pipeline


@dataclass(frozen=True)
class Inputs:
    """The plan, what clips and prompts were encoded to, the model, and the segment before this one."""

    plan: Path
    latents: dict[str, Path]
    text: dict[str, Path]
    model: Path
    previous: Path | None


@dataclass(frozen=True)
class Parameters(SegmentParameters):
    """See schemas/wan22-train.parameters.json."""


def prepare(
    inputs: Inputs, parameters: Parameters, device: str, recipe: Mapping[str, Any], steps: list[Step]
) -> Prepared:
    """Load the transformer, put the LoRA in, and choose what is recomputed."""
    dit = load_pipeline(inputs.model, [transformer_part(recipe["expert"])], device, parameters.dtype).dit
    lora = inject_lora(dit, recipe["lora_rank"], recipe["seed"])

    to_come = eight_bits_bytes(dit, parameters.profile)
    recompute = choose_recompute(parameters.recompute, WAN22, dit, inputs.latents, steps, torch.device(device), to_come)

    def train_with(optimizer: torch.optim.Optimizer, processes: Processes) -> Trainer:
        data = inputs.latents, inputs.text
        return make_trainer(dit, optimizer, *data, processes, recipe, recompute, parameters.profile)

    return Prepared(lora, train_with, WAN22, recompute)


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write state.safetensors, loss.jsonl (one line an optimiser step) and state.json."""
    run_segment(STAGE.name, prepare, inputs, parameters, out)


STAGE = Stage(name="wan22-train", inputs=Inputs, parameters=Parameters, outputs={"state.json": "state"}, run=run)

if __name__ == "__main__":
    STAGE.main()
