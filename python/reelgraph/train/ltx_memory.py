"""What a training step of LTX-2 needs of a GPU's memory: what to recompute, and what to say when it is not enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffsynth.models.ltx2_dit import LTXModel

from reelgraph.errors import StageError
from reelgraph.train.ltx_model import token_count
from reelgraph.train.memory import USABLE_SHARE, largest_clip, missing_memory
from reelgraph.train.plan import Step

RECOMPUTE = ("none", "full")
# Bytes that a block keeps for its backward pass for each video token and channel: counted, see docs/ltx2.md.
KEPT_BYTES = {"none": 110.0, "full": 2.0}
# What one block needs while it is computed, whatever is kept, for each token and channel.
WORKING_BYTES = 120.0


def step_bytes(tokens: int, channels: int, blocks: int, parameter_bytes: int, recompute: str) -> int:
    """Return the bytes that a training step on a clip of ``tokens`` video tokens needs on the GPU."""
    return parameter_bytes + int(tokens * channels * (KEPT_BYTES[recompute] * blocks + WORKING_BYTES))


def choose_recompute(
    asked: str, dit: LTXModel, latents: Mapping[str, Path], steps: Sequence[Step], device: torch.device
) -> str:
    """Return ``asked``, or for ``auto`` the least recomputation with which the largest clip fits."""
    if asked != "auto":
        return asked
    if device.type != "cuda":
        return "none"
    _, tokens = largest_clip(latents, steps, token_count)
    # Beside what is loaded, gradients and both moments of the LoRA in float32.
    lora = sum(parameter.numel() for parameter in dit.parameters() if parameter.requires_grad)
    weights = torch.cuda.memory_allocated(device)
    available = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    blocks = len(dit.transformer_blocks)
    for recompute in RECOMPUTE:
        if step_bytes(tokens, dit.inner_dim, blocks, weights + 12 * lora, recompute) < USABLE_SHARE * available:
            return recompute
    return "full"


def explain_out_of_memory(
    error: torch.OutOfMemoryError, recompute: str, latents: Mapping[str, Path], steps: Sequence[Step]
) -> StageError:
    """Return the error to raise instead: what was missing at which clip, and what would fit."""
    clip, tokens = largest_clip(latents, steps, token_count)
    change = (
        "cut shorter or smaller clips, drop them by token_limit in the plan, or take a larger GPU"
        if recompute == "full"
        else "set recompute to auto or full"
    )
    return StageError(
        f"the GPU's memory is full: {missing_memory(error)} more was needed; the largest clip here is {clip} with "
        f"{tokens} video tokens, recompute is {recompute}; {change}"
    )
