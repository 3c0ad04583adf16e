"""LoRA on the transformer: injected by diffsynth, its weights and moments in float32 whatever the base is in."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from diffsynth.diffusion.training_module import DiffusionTrainingModule

from reelgraph.errors import StageError
from reelgraph.train.counter import draw_uniform

TARGET_MODULES = ("q", "k", "v", "o", "ffn.0", "ffn.2")
FIRST_MOMENT, SECOND_MOMENT = "first_moment.", "second_moment."
Parameters = dict[str, torch.nn.Parameter]


def inject_lora(dit: torch.nn.Module, rank: int, seed: int) -> Parameters:
    """Add LoRA layers to ``dit``, freeze all else, and return their parameters by name without peft's adapter name.

    A is uniform as in peft, but drawn by its name instead of from the global generator; B is zero; alpha equals rank.
    """
    DiffusionTrainingModule().add_lora_to_model(
        dit, target_modules=list(TARGET_MODULES), lora_rank=rank, upcast_dtype=torch.float32
    )
    parameters = {
        name.replace(".default.", "."): parameter
        for name, parameter in sorted(dit.named_parameters())
        if parameter.requires_grad
    }
    with torch.no_grad():
        for name, parameter in parameters.items():
            if ".lora_A." in name:
                values = draw_uniform(tuple(parameter.shape), parameter.shape[1] ** -0.5, seed, "lora", name)
                parameter.copy_(torch.from_numpy(values))
            else:
                parameter.zero_()
    return parameters


def make_optimizer(parameters: Parameters, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW over the parameters; one fixed implementation, since others round differently."""
    return torch.optim.AdamW(
        parameters.values(), lr=learning_rate, weight_decay=weight_decay, foreach=False, fused=False
    )


def export_state(parameters: Parameters, optimizer: torch.optim.Optimizer, step: int) -> dict[str, torch.Tensor]:
    """Return weights, both moments and the number of steps done: all that the next step depends on."""
    state: dict[str, torch.Tensor] = {"step": torch.tensor(step, dtype=torch.int64)}
    for name, parameter in parameters.items():
        moments = optimizer.state[parameter]
        state[name] = parameter.detach()
        state[FIRST_MOMENT + name] = moments["exp_avg"]
        state[SECOND_MOMENT + name] = moments["exp_avg_sq"]
    return state


def import_state(parameters: Parameters, optimizer: torch.optim.Optimizer, state: Mapping[str, torch.Tensor]) -> int:
    """Put an exported state back and return its number of steps; raise a StageError if it is of another LoRA."""
    expected = {"step", *(prefix + name for name in parameters for prefix in ("", FIRST_MOMENT, SECOND_MOMENT))}
    if expected != set(state) or any(state[name].shape != parameter.shape for name, parameter in parameters.items()):
        raise StageError(
            "state.safetensors of the previous segment is of another model or LoRA rank; train from segment 0"
        )
    step = int(state["step"])
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(state[name])
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                "exp_avg": state[FIRST_MOMENT + name].to(parameter.device),
                "exp_avg_sq": state[SECOND_MOMENT + name].to(parameter.device),
            }
    return step


def weights_of(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the LoRA weights of an exported state by name."""
    return {name: tensor for name, tensor in state.items() if name.startswith("blocks.")}
