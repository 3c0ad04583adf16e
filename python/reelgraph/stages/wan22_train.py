"""Train one segment of a planned LoRA run: from the previous segment's state to the next, as if never stopped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json, write_json
from reelgraph.progress import progress
from reelgraph.stage import Stage
from reelgraph.train.lora import export_state, import_state, inject_lora, make_optimizer
from reelgraph.train.plan import Step, read_held_out, read_recipe, read_segment, segment_file
from reelgraph.train.tensors import read_tensors, write_tensors
from reelgraph.train.trainer import Trainer
from reelgraph.train.wan import compute_strictly, load_pipeline


@dataclass(frozen=True)
class Inputs:
    """The plan, what clips and prompts were encoded to, the model, and the segment before this one."""

    plan: Path
    latents: dict[str, Path]
    text: dict[str, Path]
    model: Path
    previous: Path | None


@dataclass(frozen=True)
class Parameters:
    """Which segment, and where and how exactly to compute."""

    segment: int
    device: str
    dtype: str
    checkpointing: str


def check_chain(previous: Path | None, segment: int, first: int, recipe: str) -> None:
    """Raise a StageError unless ``previous`` is the segment before this one, of the same recipe."""
    if segment == 0 and previous is not None:
        raise StageError("segment 0 starts from nothing; leave input 'previous' out")
    if segment > 0 and previous is None:
        raise StageError(f"segment {segment} goes on from segment {segment - 1}; give that as input 'previous'")
    if previous is not None:
        state = read_json(previous / "state.json")
        if state["last"] + 1 != first:
            raise StageError(
                f"segment {segment} starts at step {first}, but input 'previous' ended at step {state['last']}; "
                f"give segment {segment - 1}"
            )
        if state["recipe"] != recipe:
            raise StageError("input 'previous' was trained by another recipe.json; train from segment 0 of this plan")


def train(trainer: Trainer, steps: list[Step], segment: int) -> list[dict[str, Any]]:
    """Do all steps and return one row of loss.jsonl each."""
    rows = []
    with progress("wan22-train", len(steps), "step") as counter:
        for step in steps:
            loss, norm = trainer.step(step)
            rows.append(
                {
                    "step": step.step,
                    "loss": significant(loss),
                    "learning_rate": step.learning_rate,
                    "gradient_norm": significant(norm),
                    "clips": [micro_step.name for micro_step in step.micro_steps],
                }
            )
            counter.what = f"wan22-train segment {segment}, step {step.step}, loss {loss:.4f}"
            counter.advance()
    return rows


def significant(value: float | None) -> float | None:
    """Return ``value`` with the seven significant digits that float32 holds."""
    return None if value is None else float(f"{value:.7g}")


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write state.safetensors, loss.jsonl (one line an optimiser step) and state.json."""
    compute_strictly()
    recipe, steps = read_recipe(inputs.plan), read_segment(inputs.plan, parameters.segment)
    recipe_hash = file_hash(inputs.plan / "recipe.json")
    check_chain(inputs.previous, parameters.segment, steps[0].step, recipe_hash)
    pipe = load_pipeline(inputs.model, ["dit"], parameters.device, parameters.dtype)
    pipe.scheduler.set_timesteps(1000, training=True, shift=recipe["timestep_shift"])
    lora = inject_lora(pipe.dit, recipe["lora_rank"], recipe["seed"])
    optimizer = make_optimizer(lora, steps[0].learning_rate, recipe["weight_decay"])
    if inputs.previous is not None:
        import_state(lora, optimizer, read_tensors(inputs.previous / "state.safetensors"))
    padded_tokens = read_json(next(iter(inputs.text.values())) / "text.json")["padded_tokens"]
    checkpointing = parameters.checkpointing == "full"
    trainer = Trainer(
        pipe, optimizer, inputs.latents, inputs.text, padded_tokens, recipe["gradient_clip"], checkpointing
    )
    held_out = read_held_out(recipe)
    loss_before = trainer.mean_loss(held_out)
    rows = train(trainer, steps, parameters.segment)
    write_tensors(out / "state.safetensors", export_state(lora, optimizer, steps[-1].step))
    (out / "loss.jsonl").write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows), encoding="utf-8")
    write_json(
        out / "state.json",
        {
            "segment": parameters.segment,
            "first": steps[0].step,
            "last": steps[-1].step,
            "recipe": recipe_hash,
            "steps": file_hash(inputs.plan / segment_file(parameters.segment)),
            "mean_loss": significant(sum(row["loss"] for row in rows) / len(rows)),
            "held_out_loss_before": significant(loss_before),
            "held_out_loss_after": significant(trainer.mean_loss(held_out)),
            "lora_parameters": sum(parameter.numel() for parameter in lora.values()),
            "device": parameters.device,
            "dtype": parameters.dtype,
        },
    )


STAGE = Stage(name="wan22-train", inputs=Inputs, parameters=Parameters, outputs={"state.json": "state"}, run=run)

if __name__ == "__main__":
    STAGE.main()
