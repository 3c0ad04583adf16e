"""Seeded random weights for a model at toy width."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch

from reelgraph.train.counter import draw_normal

# Tables of which each row is added to what a timestep gives; their rows' width, not their rows, is the fan-in.
TABLES = ("modulation", "scale_shift_table", "a2v_ca_audio", "a2v_ca_video", "learnable_registers", "embed_tokens")


def random_weights(build: Callable[[], torch.nn.Module], seed: int, part: str) -> dict[str, torch.Tensor]:
    """Return float32 weights for the module that ``build`` makes, each drawn by its name and scaled by its fan-in."""
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    weights = {}
    for name, shape in shapes.items():
        if name.endswith(("bias", "mean-of-means")):
            weights[name] = torch.zeros(shape)
        elif name.endswith("gamma") or len(shape) == 1:
            weights[name] = torch.ones(shape)
        else:
            table = any(word in name for word in TABLES)
            fan_in = 1 if "token_embedding" in name else shape[-1] if table else prod(shape[1:])
            weights[name] = torch.from_numpy(draw_normal(shape, seed, part, name)) * fan_in**-0.5
    return weights
