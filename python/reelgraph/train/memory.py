"""What a training step needs of a GPU's memory: what to recompute, and what to say when it is not enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from diffsynth.models.wan_video_dit import WanModel

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.train.plan import Step
from reelgraph.train.schedule import token_count

GIB = 1 << 30
RECOMPUTE = ("none", "feed-forward", "full")
# Bytes that a block keeps for its backward pass, for each token and channel; measured, see docs/training.md.
KEPT_BYTES = {"none": 48.0, "feed-forward": 28.0, "full": 2.0}
# What one block needs while it is computed, whatever is kept, for each token and channel.
WORKING_BYTES = 62.0
# Attention's backward pass works in up to 2 GiB; so much of it came on top of the rest.
WORKSPACE_BYTES = 1 << 30
# The allocator leaves gaps between sizes of clips.
USABLE_SHARE = 0.95


def step_bytes(tokens: int, channels: int, blocks: int, parameter_bytes: int, recompute: str) -> int:
    """Return the bytes that a training step on a clip of ``tokens`` needs on the GPU."""
    kept = KEPT_BYTES[recompute] * blocks
    return parameter_bytes + WORKSPACE_BYTES + int(tokens * channels * (kept + WORKING_BYTES))


def largest_clip(
    latents: Mapping[str, Path], steps: Sequence[Step], tokens_of: Callable[[Sequence[int]], int] = token_count
) -> tuple[str, int]:
    """Return name and tokens of the largest clip that the steps train on; ``tokens_of`` counts those of a shape."""
    wanted = {(micro_step.episode, micro_step.clip) for step in steps for micro_step in step.micro_steps}
    sizes = {
        (episode, row["clip"]): tokens_of(row["shape"])
        for episode, path in latents.items()
        for row in read_json(path / "latents.json")["latents"]
        if (episode, row["clip"]) in wanted
    }
    if not sizes:
        return "", 0
    (episode, clip), tokens = max(sizes.items(), key=lambda item: (item[1], item[0]))
    return f"{episode}/{clip}", tokens


def choose_recompute(
    asked: str, dit: WanModel, latents: Mapping[str, Path], steps: Sequence[Step], device: torch.device
) -> str:
    """Return ``asked``, or for ``auto`` the least recomputation with which the largest clip fits."""
    if asked != "auto":
        return asked
    if device.type != "cuda":
        return "none"
    _, tokens = largest_clip(latents, steps)
    # Beside what is loaded, gradients and both moments of the LoRA in float32.
    lora = sum(parameter.numel() for parameter in dit.parameters() if parameter.requires_grad)
    weights = torch.cuda.memory_allocated(device)
    available = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    for recompute in RECOMPUTE:
        if step_bytes(tokens, dit.dim, len(dit.blocks), weights + 12 * lora, recompute) < USABLE_SHARE * available:
            return recompute
    return "full"


def explain_out_of_memory(
    error: torch.OutOfMemoryError, recompute: str, latents: Mapping[str, Path], steps: Sequence[Step]
) -> StageError:
    """Return the error to raise instead: what was missing at which clip, and what would fit."""
    clip, tokens = largest_clip(latents, steps)
    change = (
        "cut shorter or smaller clips, or drop them by token_limit in the plan, or train TI2V-5B instead of A14B"
        if recompute == "full"
        else "set recompute to auto or full"
    )
    return StageError(
        f"the GPU's memory is full: {missing_memory(error)} more was needed; the largest clip here is {clip} with "
        f"{tokens} tokens, recompute is {recompute}; {change}"
    )


def missing_memory(error: torch.OutOfMemoryError) -> str:
    """Return how much torch could not allocate, in its own words."""
    return str(error).partition("Tried to allocate ")[2].partition(". ")[0] or "memory"
