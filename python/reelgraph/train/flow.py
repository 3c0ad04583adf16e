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
    """A micro step with its tensors, each with a first dimension of one; ``condition`` is Wan2.2-I2V-A14B's."""

    micro_step: MicroStep
    latents: torch.Tensor
    context: torch.Tensor
    noise: torch.Tensor
    condition: torch.Tensor | None = None


@lru_cache
def schedule(shift: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return timestep, share of noise and weight of the loss at diffsynth's 1000 training timesteps, float32."""
    scheduler = FlowMatchScheduler("Wan")
    scheduler.set_timesteps(1000, training=True, shift=shift)
    return scheduler.timesteps, scheduler.sigmas, scheduler.linear_timesteps_weights


def planned_loss(transformer: Transformer, sample: Sample, shift: float) -> torch.Tensor:
    """Return the loss of FlowMatchSFTLoss for one clip, a float32 scalar.

    With ``micro_step.first_frame`` the clip's own first latent frame is given clean and left out of the loss, as
    Wan2.2-TI2V-5B does image to video. Noise is mixed in float32, at the very timestep that the plan names.
    """
    index, given = sample.micro_step.timestep_index, sample.micro_step.first_frame
    timestep, sigma, weight = (float(values[index]) for values in schedule(shift))
    clean, noise = sample.latents.float(), sample.noise
    noisy, target = (1 - sigma) * clean + sigma * noise, noise - clean
    if given:
        noisy = torch.cat([clean[:, :, :1], noisy[:, :, 1:]], dim=2)
    prediction = transformer.predict(
        noisy.to(sample.latents.dtype),
        sample.context,
        torch.full((1,), timestep, device=clean.device),
        given,
        sample.condition,
    )
    if given:
        prediction, target = prediction[:, :, 1:], target[:, :, 1:]
    return torch.nn.functional.mse_loss(prediction.float(), target) * weight
