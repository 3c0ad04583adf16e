"""The training step: what the plan says, on stored latents and embeddings, with a guard against broken losses."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.wan_video_dit import WanModel

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.train.ahead import Loader
from reelgraph.train.attention import choose_attention
from reelgraph.train.flow import planned_loss
from reelgraph.train.gradients import Gradients
from reelgraph.train.loader import WanLoader
from reelgraph.train.lora import LoraLinear
from reelgraph.train.plan import MicroStep, Step
from reelgraph.train.processes import Processes
from reelgraph.train.transformer import Transformer


@dataclass(frozen=True)
class StepResult:
    """What a step did, still on the device, so that the next step can be launched before anyone looks at it."""

    step: Step
    losses: torch.Tensor
    gradient_norm: torch.Tensor

    def check(self) -> tuple[float, float]:
        """Return mean loss and gradient norm, or raise a StageError that names what is not finite."""
        losses, norm = self.losses.tolist(), float(self.gradient_norm)
        for micro_step, value in zip(self.step.micro_steps, losses, strict=True):
            if not math.isfinite(value):
                raise StageError(
                    f"step {self.step.step}: the loss of clip {micro_step.name} is {value} at timestep "
                    f"{micro_step.timestep}; look at that clip, or lower the learning rate"
                )
        if not math.isfinite(norm):
            clips = ", ".join(micro_step.name for micro_step in self.step.micro_steps)
            raise StageError(
                f"step {self.step.step}: the gradient over clips {clips} is not finite; lower the learning rate"
            )
        return sum(losses) / len(losses), norm


@dataclass(frozen=True)
class Trainer:
    """The gradients by a LoRA, its optimiser, the loader of samples, and the processes that share the work.

    What the model is, only the loss behind ``gradients`` and ``loader`` know.
    """

    gradients: Gradients
    optimizer: torch.optim.Optimizer
    loader: Loader
    processes: Processes
    gradient_clip: float

    def steps(self, steps: Sequence[Step]) -> Iterator[StepResult]:
        """Do optimiser steps one after the other and yield each as soon as it is launched."""
        mine = (micro_step for step in steps for micro_step in self.processes.share(step.micro_steps))
        samples = self.loader.samples(mine)
        for step in steps:
            yield self._step(step, samples)

    def _step(self, step: Step, samples: Iterator[Any]) -> StepResult:
        group = self.optimizer.param_groups[0]
        losses: list[torch.Tensor] = []
        sums: list[torch.Tensor] | None = None
        self.gradients.clear()
        for together in self.processes.rounds(step.micro_steps):
            loss = None
            if self.processes.rank < len(together):
                loss = self.gradients.add(next(samples), len(step.micro_steps))
            if self.processes.count > 1:
                sums, round_losses = self.processes.add_up(group["params"], sums, loss, len(together))
                losses += round_losses
                self.gradients.clear()
            elif loss is not None:
                losses.append(loss)
        for parameter, gradient in zip(group["params"], sums or [], strict=False):
            parameter.grad.copy_(gradient)
        norm = torch.nn.utils.clip_grad_norm_(group["params"], self.gradient_clip or math.inf, foreach=self._on_cuda)
        group["lr"] = step.learning_rate
        self.optimizer.step()
        return StepResult(step, torch.stack(losses), norm)

    @property
    def _on_cuda(self) -> bool:
        return self.loader.device.type == "cuda"

    @torch.no_grad()
    def mean_loss(self, micro_steps: Sequence[MicroStep]) -> float | None:
        """Return the mean loss without training, or None without micro steps; every process computes all of it."""
        samples = self.loader.samples(micro_steps)
        losses = [float(self.gradients.loss(sample)) for sample in samples]
        return sum(losses) / len(losses) if losses else None


def takes_eight_bits(weight: torch.Tensor, profile: str) -> bool:
    """Return whether a Wan transformer of such weights computes with them in eight bits on their device."""
    if profile != "fast" or not weight.is_cuda or weight.dtype != torch.bfloat16:
        return False
    # Only a machine with a GPU needs Triton.
    from reelgraph.train.eight_bits import multiplies_eight_bits

    return multiplies_eight_bits(weight.device)


def eight_bits_bytes(dit: WanModel, profile: str) -> int:
    """Return the bytes of what `make_trainer` adds to a loaded transformer: two copies of weights in eight bits."""
    if not takes_eight_bits(dit.patch_embedding.weight, profile):
        return 0
    return 2 * sum(layer.base.weight.numel() for layer in dit.modules() if isinstance(layer, LoraLinear))


def make_trainer(
    dit: WanModel,
    optimizer: torch.optim.Optimizer,
    latents: Mapping[str, Path],
    text: Mapping[str, Path],
    processes: Processes,
    recipe: Mapping[str, Any],
    recompute: str,
    profile: str,
) -> Trainer:
    """Return the trainer for a Wan transformer that carries the LoRA; on CUDA its blocks are fused."""
    weight, fused = dit.patch_embedding.weight, None
    if weight.is_cuda:
        # Only a machine with a GPU needs Triton.
        from reelgraph.train.fused import fuse_blocks

        fused = fuse_blocks(dit, takes_eight_bits(weight, profile))
        # The weights' former memory fits nothing that comes, so it must not stay in torch's pool.
        torch.cuda.empty_cache()
    attention = choose_attention(weight, dit.dim // dit.blocks[0].num_heads, profile)
    transformer = Transformer(dit, recompute, fused, attention)
    padded_tokens = read_json(next(iter(text.values())) / "text.json")["padded_tokens"]
    loader = WanLoader(latents, text, padded_tokens, recipe["timestep_shift"], weight.device, weight.dtype)
    gradients = Gradients(
        partial(planned_loss, transformer), optimizer.param_groups[0]["params"], recorded=weight.is_cuda
    )
    return Trainer(gradients, optimizer, loader, processes, recipe["gradient_clip"])
