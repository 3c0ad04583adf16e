"""Train one segment of a planned LTX-2 LoRA run: from the previous segment's state to the next, as if never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.stage import Stage
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_memory import LTX2
from reelgraph.train.ltx_trainer import inject_ltx_lora, make_ltx_trainer
from reelgraph.train.ltx_transformer import LtxTransformer
from reelgraph.train.memory import choose_recompute
from reelgraph.train.plan import Step
from reelgraph.train.processes import Processes
from reelgraph.train.segment import Prepared, SegmentParameters, run_segment
from reelgraph.train.trainer import Trainer


@dataclass(frozen=True)
class Inputs:
    """The plan, what clips, sound and prompts were encoded to, the model, and the segment before this one.

    Without ``sound`` the LoRA learns video alone.
    """

    plan: Path
    latents: dict[str, Path]
    sound: dict[str, Path]
    text: dict[str, Path]
    model: Path
    previous: Path | None


@dataclass(frozen=True)
class Parameters(SegmentParameters):
    """See schemas/ltx2-train.parameters.json."""


def prepare(
    inputs: Inputs, parameters: Parameters, device: str, recipe: Mapping[str, Any], steps: list[Step]
) -> Prepared:
    """Load transformer and connectors, put the LoRA in, and choose what is recomputed."""
    pipe = load_ltx(inputs.model, ["dit", "connectors"], device, parameters.dtype)
    # The projection before the connectors is done with: its output is what ltx2-text kept.
    pipe.text_encoder_post_modules.feature_extractor_linear = None
    lora = inject_ltx_lora(pipe.dit, recipe["lora_rank"], recipe["seed"], bool(inputs.sound))
    recompute = choose_recompute(parameters.recompute, LTX2, pipe.dit, inputs.latents, steps, torch.device(device))
    transformer = LtxTransformer(pipe.dit, pipe.text_encoder_post_modules, recompute)

    def train_with(optimizer: torch.optim.Optimizer, processes: Processes) -> Trainer:
        data = inputs.latents, inputs.sound, inputs.text
        return make_ltx_trainer(transformer, optimizer, *data, processes, recipe)

    return Prepared(lora, train_with, LTX2, recompute)


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write state.safetensors, loss.jsonl (one line an optimiser step) and state.json."""
    run_segment(STAGE.name, prepare, inputs, parameters, out)


STAGE = Stage(name="ltx2-train", inputs=Inputs, parameters=Parameters, outputs={"state.json": "state"}, run=run)

if __name__ == "__main__":
    STAGE.main()
