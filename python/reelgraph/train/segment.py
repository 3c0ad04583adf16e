"""One segment of a planned LoRA run, whatever the model: from the previous segment's state to the next."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json, write_json
from reelgraph.progress import Progress, progress
from reelgraph.train.lora import Parameters, export_state, import_state, make_optimizer
from reelgraph.train.memory import Needs, explain_out_of_memory
from reelgraph.train.plan import Step, read_held_out, read_recipe, read_segment, segment_file
from reelgraph.train.processes import Processes, run_together
from reelgraph.train.strict import compute_strictly
from reelgraph.train.tensors import read_tensors, write_tensors
from reelgraph.train.trainer import StepResult, Trainer


class SegmentInputs(Protocol):
    """What every train stage is given: a plan, what clips were encoded to, and the segment before this one."""

    plan: Path
    latents: dict[str, Path]
    previous: Path | None


@dataclass(frozen=True)
class SegmentParameters:
    """Which segment, where and how exactly to compute; see schemas/wan22-train.parameters.json."""

    segment: int
    device: str
    dtype: str
    recompute: str
    profile: str
    processes: int


@dataclass(frozen=True)
class Prepared:
    """A loaded model that carries its LoRA; ``train_with`` makes its trainer, ``needs`` says what memory that takes."""

    lora: Parameters
    train_with: Callable[[torch.optim.Optimizer, Processes], Trainer]
    needs: Needs
    recompute: str


# Loads and prepares a model: (inputs, parameters, device, recipe, steps).
Prepare = Callable[[Any, Any, str, Mapping[str, Any], list[Step]], Prepared]


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


def train(trainer: Trainer, steps: list[Step], name: str, segment: int) -> list[dict[str, Any]]:
    """Do all steps and return one row of loss.jsonl each; a step is looked at once the next one is launched."""
    with progress(name, len(steps), "step") as counter:
        return [_row(result, name, segment, counter) for result in _one_behind(trainer.steps(steps))]


def _one_behind(results: Iterator[StepResult]) -> Iterator[StepResult]:
    waiting: StepResult | None = None
    for result in results:
        if waiting is not None:
            yield waiting
        waiting = result
    if waiting is not None:
        yield waiting


def _row(result: StepResult, name: str, segment: int, counter: Progress) -> dict[str, Any]:
    loss, norm = result.check()
    step = result.step
    counter.what = f"{name} segment {segment}, step {step.step}, loss {loss:.4f}"
    counter.advance()
    return {
        "step": step.step,
        "loss": significant(loss),
        "learning_rate": step.learning_rate,
        "gradient_norm": significant(norm),
        "clips": [micro_step.name for micro_step in step.micro_steps],
    }


def significant(value: float | None) -> float | None:
    """Return ``value`` with the seven significant digits that float32 holds."""
    return None if value is None else float(f"{value:.7g}")


def train_segment(
    processes: Processes,
    name: str,
    prepare: Prepare,
    inputs: SegmentInputs,
    parameters: SegmentParameters,
    out: Path,
) -> None:
    """Do the segment's steps in this process; the first of several writes the outputs."""
    compute_strictly(parameters.profile)
    recipe, steps = read_recipe(inputs.plan), read_segment(inputs.plan, parameters.segment)
    device = f"cuda:{processes.rank}" if processes.count > 1 and parameters.device == "cuda" else parameters.device
    prepared = prepare(inputs, parameters, device, recipe, steps)
    lora = prepared.lora
    optimizer = make_optimizer(lora, steps[0].learning_rate, recipe["weight_decay"])
    if inputs.previous is not None:
        import_state(lora, optimizer, read_tensors(inputs.previous / "state.safetensors"))
    trainer = prepared.train_with(optimizer, processes)
    held_out = read_held_out(recipe)
    try:
        loss_before = trainer.mean_loss(held_out)
        rows = train(trainer, steps, name, parameters.segment)
        loss_after = trainer.mean_loss(held_out)
    except torch.OutOfMemoryError as error:
        raise explain_out_of_memory(error, prepared.needs, prepared.recompute, inputs.latents, steps) from error
    if processes.rank > 0:
        return
    write_tensors(out / "state.safetensors", export_state(lora, optimizer, steps[-1].step))
    (out / "loss.jsonl").write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows), encoding="utf-8")
    write_json(
        out / "state.json",
        {
            "segment": parameters.segment,
            "first": steps[0].step,
            "last": steps[-1].step,
            "recipe": file_hash(inputs.plan / "recipe.json"),
            "steps": file_hash(inputs.plan / segment_file(parameters.segment)),
            "mean_loss": significant(sum(row["loss"] for row in rows) / len(rows)),
            "held_out_loss_before": significant(loss_before),
            "held_out_loss_after": significant(loss_after),
            "lora_parameters": sum(parameter.numel() for parameter in lora.values()),
            "device": parameters.device,
            "dtype": parameters.dtype,
            "profile": parameters.profile,
        },
    )


def run_segment(name: str, prepare: Prepare, inputs: SegmentInputs, parameters: SegmentParameters, out: Path) -> None:
    """Write state.safetensors, loss.jsonl (one line an optimiser step) and state.json."""
    steps = read_segment(inputs.plan, parameters.segment)
    check_chain(inputs.previous, parameters.segment, steps[0].step, file_hash(inputs.plan / "recipe.json"))
    run_together(parameters.processes, train_segment, name, prepare, inputs, parameters, out)
