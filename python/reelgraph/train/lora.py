"""LoRA on the transformer: its weights and moments in float32 whatever the frozen model is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from reelgraph.errors import StageError
from reelgraph.train.counter import draw_uniform

# The layers that diffsynth's own recipes for Wan adapt, in every block.
TARGET_LAYERS = ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o")
TARGET_LAYERS += ("cross_attn.q", "cross_attn.k", "cross_attn.v", "cross_attn.o", "ffn.0", "ffn.2")
FIRST_MOMENT, SECOND_MOMENT = "first_moment.", "second_moment."
Parameters = dict[str, torch.nn.Parameter]


class LoraLinear(torch.nn.Module):
    """A frozen linear layer plus ``lora_B(lora_A(x))``; both are cast to the layer's number format for the product."""

    def __init__(self, base: torch.nn.Linear, rank: int) -> None:
        super().__init__()
        self.base = base
        options = {"bias": False, "device": base.weight.device, "dtype": torch.float32}
        self.lora_A = torch.nn.Linear(base.in_features, rank, **options)
        self.lora_B = torch.nn.Linear(rank, base.out_features, **options)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the adapted layer's output."""
        return self.base(x) + self.up(torch.nn.functional.linear(x, self.lora_A.weight.to(x.dtype)))

    def up(self, low: torch.Tensor) -> torch.Tensor:
        """Return LoRA's part of the output from its few channels."""
        return torch.nn.functional.linear(low, self.lora_B.weight.to(low.dtype))


def project(x: torch.Tensor, *layers: torch.nn.Module) -> list[torch.Tensor]:
    """Return each layer's output for the same ``x``; what their LoRA has in common is computed once."""
    if not all(isinstance(layer, LoraLinear) for layer in layers):
        return [layer(x) for layer in layers]
    down = torch.cat([layer.lora_A.weight for layer in layers]).to(x.dtype)
    lows = torch.nn.functional.linear(x, down).chunk(len(layers), dim=-1)
    return [layer.base(x) + layer.up(low) for layer, low in zip(layers, lows, strict=True)]


def inject_lora(
    dit: torch.nn.Module, rank: int, seed: int, layers: Sequence[str] = TARGET_LAYERS, blocks: str = "blocks"
) -> Parameters:
    """Add LoRA to ``layers`` of each of the ``blocks`` of ``dit``, freeze all else, and return its parameters by name.

    Alpha equals the rank. A is uniform as in peft, but drawn by its name instead of from a global generator; B is zero.
    """
    dit.requires_grad_(False)
    for block in dit.get_submodule(blocks):
        for layer in layers:
            parent, _, name = layer.rpartition(".")
            owner = block.get_submodule(parent)
            setattr(owner, name, LoraLinear(owner.get_submodule(name), rank))
    parameters = {name: value for name, value in sorted(dit.named_parameters()) if ".lora_" in name}
    with torch.no_grad():
        for name, parameter in parameters.items():
            if ".lora_A." in name:
                values = draw_uniform(tuple(parameter.shape), parameter.shape[1] ** -0.5, seed, "lora", name)
                parameter.copy_(torch.from_numpy(values))
            else:
                parameter.zero_()
    return parameters


def make_optimizer(parameters: Parameters, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Return AdamW over the parameters; one fixed implementation a device, since others round differently."""
    fused = next(iter(parameters.values())).is_cuda
    return torch.optim.AdamW(
        parameters.values(), lr=learning_rate, weight_decay=weight_decay, foreach=False, fused=fused
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
                # The fused implementation reads the number of steps on the device, the other on the CPU.
                "step": torch.tensor(float(step), device=parameter.device if parameter.is_cuda else "cpu"),
                "exp_avg": state[FIRST_MOMENT + name].to(parameter.device),
                "exp_avg_sq": state[SECOND_MOMENT + name].to(parameter.device),
            }
    return step
