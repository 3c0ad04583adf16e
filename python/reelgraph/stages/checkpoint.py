"""Make the checkpoint that users load: the LoRA after the last segment, with its origin written into the file.

lora.safetensors is bfloat16 under ComfyUI's key names, which diffsynth's loader takes as well; lora-fp32.safetensors is
the same at full precision, to go on from or to merge.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.files import content_hash, file_hash, read_json, write_json
from reelgraph.stage import Stage
from reelgraph.train.model import describe_model
from reelgraph.train.plan import segment_file
from reelgraph.train.tensors import read_tensors, write_tensors

COMFYUI_PREFIX = "diffusion_model."
# Of Wan's transformer and of LTX-2's; the moments beside the weights have prefixes of their own.
BLOCKS = ("blocks.", "transformer_blocks.")


@dataclass(frozen=True)
class Inputs:
    """Every segment by number ("00", "01", ...), and what the run was made from."""

    segments: dict[str, Path]
    plan: Path
    package: Path
    model: Path


@dataclass(frozen=True)
class Parameters:
    """Name, licence and credits, as they shall stand in the file."""

    name: str
    licence: str
    attribution: str


def check_segments(segments: dict[str, Path], plan: Path) -> list[dict[str, Any]]:
    """Return the state.json of all segments in order; raise a StageError for one that is missing or of another plan."""
    planned, recipe = read_json(plan / "plan.json")["segments"], file_hash(plan / "recipe.json")
    expected = [f"{number:02d}" for number in range(len(planned))]
    if sorted(segments) != expected:
        raise StageError(
            f"segments {', '.join(sorted(segments))} were given, the plan has {', '.join(expected)}; give exactly these"
        )
    states = [read_json(segments[number] / "state.json") for number in expected]
    for number, state in enumerate(states):
        steps = file_hash(plan / segment_file(number))
        if (state["segment"], state["recipe"], state["steps"]) != (number, recipe, steps):
            raise StageError(f"segment {number:02d} was not trained from this plan; train it again")
    return states


def check_weights(weights: dict[str, torch.Tensor]) -> None:
    """Raise a StageError if a LoRA holds numbers that are not finite, or changes nothing because every B is zero."""
    if not weights:
        raise StageError("the last segment holds no LoRA weights; train it again")
    for name, tensor in sorted(weights.items()):
        if not torch.isfinite(tensor).all():
            raise StageError(f"{name} holds numbers that are not finite; lower the learning rate and train again")
    if not any(tensor.any() for name, tensor in weights.items() if ".lora_B." in name):
        raise StageError(
            "every lora_B is zero, so the LoRA would change nothing; train more steps or at a higher learning rate"
        )


def metadata(
    inputs: Inputs, parameters: Parameters, plan: dict[str, Any], dataset: dict[str, Any], profile: str
) -> dict[str, str]:
    """Return what is written into the header of the files: strings, no clock, no path."""
    model, recipe = describe_model(inputs.model), read_json(inputs.plan / "recipe.json")
    return {
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": f"{model['architecture']}/lora",
        "modelspec.title": parameters.name,
        "modelspec.license": parameters.licence,
        "modelspec.author": parameters.attribution,
        "modelspec.trigger_phrase": dataset["trigger"],
        "reelgraph.base_model": model["name"],
        "reelgraph.base_model_hash": content_hash(inputs.model),
        "reelgraph.base_model_weights": model["weights"],
        "reelgraph.dataset": dataset["name"],
        "reelgraph.dataset_hash": dataset["hash"],
        "reelgraph.plan_hash": content_hash(inputs.plan),
        "reelgraph.recipe": json.dumps(plan["parameters"], sort_keys=True),
        "reelgraph.seed": str(recipe["seed"]),
        "reelgraph.expert": recipe["expert"],
        "reelgraph.profile": profile,
        "reelgraph.rank": str(recipe["lora_rank"]),
        "reelgraph.alpha": str(recipe["lora_rank"]),
        "reelgraph.steps": str(plan["total_steps"]),
    }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write both LoRA files, the whole loss.jsonl and checkpoint.json."""
    plan, dataset = read_json(inputs.plan / "plan.json"), read_json(inputs.package / "dataset.json")
    if plan["dataset"] != dataset["hash"]:
        raise StageError(
            f"the plan was made for dataset {plan['dataset']}, the package is {dataset['hash']}; plan and train again"
        )
    states = check_segments(inputs.segments, inputs.plan)
    last = inputs.segments[f"{len(states) - 1:02d}"]
    weights = {
        name: tensor for name, tensor in read_tensors(last / "state.safetensors").items() if name.startswith(BLOCKS)
    }
    check_weights(weights)
    # One segment that need not come out the same is enough for the whole to need not either.
    profile = "fast" if any(state["profile"] == "fast" for state in states) else "exact"
    header = metadata(inputs, parameters, plan, dataset, profile)
    named = {COMFYUI_PREFIX + name: tensor for name, tensor in weights.items()}
    write_tensors(out / "lora-fp32.safetensors", named, header)
    write_tensors(out / "lora.safetensors", {name: tensor.to(torch.bfloat16) for name, tensor in named.items()}, header)
    (out / "loss.jsonl").write_bytes(
        b"".join((inputs.segments[key] / "loss.jsonl").read_bytes() for key in sorted(inputs.segments))
    )
    write_json(
        out / "checkpoint.json",
        {
            "metadata": header,
            "files": {name: file_hash(out / name) for name in ("lora.safetensors", "lora-fp32.safetensors")},
            "tensors": len(weights),
            "parameters": sum(tensor.numel() for tensor in weights.values()),
            "largest_b": float(f"{max(float(t.abs().max()) for name, t in weights.items() if '.lora_B.' in name):.7g}"),
            "segments": [
                {
                    key: state[key]
                    for key in ("first", "last", "mean_loss", "held_out_loss_before", "held_out_loss_after")
                }
                for state in states
            ],
        },
    )


STAGE = Stage(
    name="checkpoint", inputs=Inputs, parameters=Parameters, outputs={"checkpoint.json": "checkpoint"}, run=run
)

if __name__ == "__main__":
    STAGE.main()
