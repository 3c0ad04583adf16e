"""What a training step needs of a GPU's memory: what to recompute, and what to say when it is not enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.train.plan import Step
from reelgraph.train.schedule import token_count

# The allocator leaves gaps between sizes of clips.
USABLE_SHARE = 0.95


@dataclass(frozen=True)
class Needs:
    """What a model's training step takes of a GPU's memory.

    ``kept_bytes`` is what a block keeps for its backward pass for each token and channel, by how much is recomputed,
    least first; ``working_bytes`` what one block needs while it is computed, whatever is kept; ``workspace_bytes`` what
    comes on top. ``width_of`` gives a transformer's channels and blocks, ``tokens_of`` the tokens of latents of a
    shape, which messages call ``token_name``; ``smaller`` says what helps where all is recomputed already.
    """

    kept_bytes: Mapping[str, float]
    working_bytes: float
    workspace_bytes: int
    width_of: Callable[[Any], tuple[int, int]]
    tokens_of: Callable[[Sequence[int]], int]
    token_name: str
    smaller: str

    def step_bytes(self, tokens: int, channels: int, blocks: int, parameter_bytes: int, recompute: str) -> int:
        """Return the bytes that a training step on a clip of ``tokens`` needs on the GPU."""
        kept = self.kept_bytes[recompute] * blocks
        return parameter_bytes + self.workspace_bytes + int(tokens * channels * (kept + self.working_bytes))


# What is kept is counted, the rest was measured; see docs/training.md.
# Attention's backward pass works in up to 2 GiB; so much of it came on top of the rest.
WAN22 = Needs(
    kept_bytes={"none": 49.0, "feed-forward": 28.5, "full": 2.0},
    working_bytes=62.0,
    workspace_bytes=1 << 30,
    width_of=lambda dit: (dit.dim, len(dit.blocks)),
    tokens_of=token_count,
    token_name="tokens",
    smaller="cut shorter or smaller clips, or drop them by token_limit in the plan, or train TI2V-5B instead of A14B",
)


def largest_clip(needs: Needs, latents: Mapping[str, Path], steps: Sequence[Step]) -> tuple[str, int]:
    """Return name and tokens of the largest clip that the steps train on."""
    wanted = {(micro_step.episode, micro_step.clip) for step in steps for micro_step in step.micro_steps}
    sizes = {
        (episode, row["clip"]): needs.tokens_of(row["shape"])
        for episode, path in latents.items()
        for row in read_json(path / "latents.json")["latents"]
        if (episode, row["clip"]) in wanted
    }
    if not sizes:
        return "", 0
    (episode, clip), tokens = max(sizes.items(), key=lambda item: (item[1], item[0]))
    return f"{episode}/{clip}", tokens


def choose_recompute(
    asked: str,
    needs: Needs,
    transformer: torch.nn.Module,
    latents: Mapping[str, Path],
    steps: Sequence[Step],
    device: torch.device,
    to_come: int = 0,
) -> str:
    """Return ``asked``, or for ``auto`` the least recomputation with which the largest clip fits.

    ``to_come`` are the bytes that will be loaded beside the transformer.
    """
    if asked != "auto":
        return asked
    if device.type != "cuda":
        return "none"
    _, tokens = largest_clip(needs, latents, steps)
    # Beside what is loaded, gradients and both moments of the LoRA in float32; and a micro step's own gradients, held
    # until they are added: parts of larger products, then copied out of them, 1.5 times a LoRA of rank 16.
    lora = sum(parameter.numel() for parameter in transformer.parameters() if parameter.requires_grad)
    weights = torch.cuda.memory_allocated(device) + to_come
    available = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    channels, blocks = needs.width_of(transformer)
    for recompute in needs.kept_bytes:
        if needs.step_bytes(tokens, channels, blocks, weights + 20 * lora, recompute) < USABLE_SHARE * available:
            return recompute
    return "full"


def explain_out_of_memory(
    error: torch.OutOfMemoryError, needs: Needs, recompute: str, latents: Mapping[str, Path], steps: Sequence[Step]
) -> StageError:
    """Return the error to raise instead: what was missing at which clip, and what would fit."""
    clip, tokens = largest_clip(needs, latents, steps)
    change = needs.smaller if recompute == "full" else "set recompute to auto or full"
    return StageError(
        f"the GPU's memory is full: {missing_memory(error)} more was needed; the largest clip here is {clip} with "
        f"{tokens} {needs.token_name}, recompute is {recompute}; {change}"
    )


def missing_memory(error: torch.OutOfMemoryError) -> str:
    """Return how much torch could not allocate, in its own words."""
    return str(error).partition("Tried to allocate ")[2].partition(". ")[0] or "memory"
