"""The training step: what the plan says, on stored latents and embeddings, with a guard against broken losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffsynth.pipelines.wan_video import WanVideoPipeline

from reelgraph.errors import StageError
from reelgraph.train.flow import planned_loss
from reelgraph.train.plan import MicroStep, Step
from reelgraph.train.tensors import read_tensors


@dataclass(frozen=True)
class Trainer:
    """A pipeline whose transformer carries the LoRA, and where latents and embeddings of each episode lie."""

    pipe: WanVideoPipeline
    optimizer: torch.optim.Optimizer
    latents: Mapping[str, Path]
    text: Mapping[str, Path]
    padded_tokens: int
    gradient_clip: float
    checkpointing: bool

    def step(self, step: Step) -> tuple[float, float]:
        """Do one optimiser step; return mean loss and gradient norm, or raise a StageError if they are not finite."""
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for micro_step in step.micro_steps:
            loss = self.loss(micro_step)
            value = float(loss.detach())
            if not abs(value) < float("inf"):
                raise StageError(
                    f"step {step.step}: the loss of clip {micro_step.name} is {value} at timestep "
                    f"{micro_step.timestep}; look at that clip, or lower the learning rate"
                )
            (loss / len(step.micro_steps)).backward()
            total += value
        group = self.optimizer.param_groups[0]
        limit = self.gradient_clip or float("inf")
        norm = float(torch.nn.utils.clip_grad_norm_(group["params"], limit, foreach=False))
        if not norm < float("inf"):
            clips = ", ".join(micro_step.name for micro_step in step.micro_steps)
            raise StageError(
                f"step {step.step}: the gradient over clips {clips} is not finite; lower the learning rate"
            )
        group["lr"] = step.learning_rate
        self.optimizer.step()
        return total / len(step.micro_steps), norm

    def loss(self, micro_step: MicroStep) -> torch.Tensor:
        """Return the loss of one clip at its planned noise level and noise."""
        latents = self._read(self.latents, micro_step, f"latents/{micro_step.clip}.safetensors", "latents")
        context = self._read(self.text, micro_step, f"text/{micro_step.prompt}.safetensors", "context")
        context = torch.nn.functional.pad(context, (0, 0, 0, self.padded_tokens - context.shape[1]))
        return planned_loss(
            self.pipe,
            latents,
            context,
            micro_step.timestep_index,
            micro_step.noise_seed,
            micro_step.first_frame,
            self.checkpointing,
        )

    @torch.no_grad()
    def mean_loss(self, micro_steps: Sequence[MicroStep]) -> float | None:
        """Return the mean loss without training, or None without micro steps."""
        losses = [float(self.loss(micro_step)) for micro_step in micro_steps]
        return sum(losses) / len(losses) if losses else None

    def _read(self, episodes: Mapping[str, Path], micro_step: MicroStep, file: str, key: str) -> torch.Tensor:
        path = episodes.get(micro_step.episode, Path()) / file
        if not path.is_file():
            raise StageError(
                f"clip {micro_step.name}: its {key} ({file}) is missing; encode what was planned, or plan again"
            )
        return read_tensors(path)[key].to(self.pipe.device, self.pipe.torch_dtype).unsqueeze(0)
