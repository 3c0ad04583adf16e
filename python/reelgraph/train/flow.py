"""One planned micro step: diffsynth's flow-matching loss with the plan's timestep and noise instead of global draws."""

from __future__ import annotations

import torch
from diffsynth.pipelines.wan_video import WanVideoPipeline

from reelgraph.train.counter import draw_normal


def planned_loss(
    pipe: WanVideoPipeline,
    latents: torch.Tensor,
    context: torch.Tensor,
    timestep_index: int,
    noise_seed: int,
    first_frame: bool,
    checkpointing: bool = False,
) -> torch.Tensor:
    """Return the loss of FlowMatchSFTLoss for one clip.

    ``latents`` is [1, channels, frames, height, width], ``context`` [1, tokens, channels]. With ``first_frame`` the
    clip's own first latent frame is given clean and left out of the loss, as Wan2.2-TI2V-5B does image to video.
    """
    timestep = pipe.scheduler.timesteps[timestep_index : timestep_index + 1].to(
        dtype=pipe.torch_dtype, device=pipe.device
    )
    noise = torch.from_numpy(draw_normal(tuple(latents.shape), noise_seed)).to(
        dtype=latents.dtype, device=latents.device
    )
    noisy = pipe.scheduler.add_noise(latents, noise, timestep)
    target = pipe.scheduler.training_target(latents, noise, timestep)
    if first_frame:
        noisy[:, :, 0:1] = latents[:, :, 0:1]
    prediction = pipe.model_fn(
        dit=pipe.dit,
        latents=noisy,
        context=context,
        timestep=timestep,
        fuse_vae_embedding_in_latents=first_frame,
        use_gradient_checkpointing=checkpointing,
    )
    if first_frame:
        prediction, target = prediction[:, :, 1:], target[:, :, 1:]
    loss = torch.nn.functional.mse_loss(prediction.float(), target.float())
    return loss * pipe.scheduler.training_weight(timestep)
