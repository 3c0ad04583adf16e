"""One planned micro step: diffsynth's flow-matching loss with the plan's timestep and noise instead of global draws."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from diffsynth.diffusion import FlowMatchScheduler

from reelgraph.train.plan import MicroStep
from reelgraph.train.transformer import Transformer


@dataclass(frozen=True)
class Sample:
    """A micro step with its tensors, each with a first dimension of one; ``condition`` is Wan2.2-I2V-A14B's.

    ``counts`` says how often each token of ``context`` counts, see `pad_context`; ``level`` is timestep, share of noise
    and weight of the loss, [3] float32.
    """

    micro_step: MicroStep
    latents: torch.Tensor
    context: torch.Tensor
    counts: torch.Tensor
    noise: torch.Tensor
    level: torch.Tensor
    condition: torch.Tensor | None = None

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the tensors that are there, by name."""
        names = ("latents", "context", "counts", "noise", "level", "condition")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def level(micro_step: MicroStep, shift: float) -> torch.Tensor:
    """Return a micro step's ``Sample.level``."""
    return torch.stack([values[micro_step.timestep_index] for values in schedule(shift)])


@lru_cache
def schedule(shift: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return timestep, share of noise and weight of the loss at diffsynth's 1000 training timesteps, float32."""
    scheduler = FlowMatchScheduler("Wan")
    scheduler.set_timesteps(1000, training=True, shift=shift)
    return scheduler.timesteps, scheduler.sigmas, scheduler.linear_timesteps_weights


def planned_loss(transformer: Transformer, sample: Sample) -> torch.Tensor:
    """Return the loss of FlowMatchSFTLoss for one clip, a float32 scalar.

    With ``micro_step.first_frame`` the clip's own first latent frame is given clean and left out of the loss, as
    Wan2.2-TI2V-5B does image to video. Noise is mixed in float32, at the very timestep that the plan names.
    """
    given = sample.micro_step.first_frame
    timestep, sigma, weight = sample.level.split(1)
    clean, noise = sample.latents.float(), sample.noise
    noisy, target = (1 - sigma) * clean + sigma * noise, noise - clean
    if given:
        noisy = torch.cat([clean[:, :, :1], noisy[:, :, 1:]], dim=2)
    latents = noisy.to(sample.latents.dtype)
    prediction = transformer.predict(latents, sample.context, sample.counts, timestep, given, sample.condition)
    if given:
        prediction, target = prediction[:, :, 1:], target[:, :, 1:]
    return torch.nn.functional.mse_loss(prediction.float(), target) * weight[0]
