"""Clips and captions through the pipeline's own units: stored tensors are what the stock trainer would compute."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffsynth.pipelines.wan_video import (
    WanVideoPipeline,
    WanVideoUnit_InputVideoEmbedder,
    WanVideoUnit_PromptEmbedder,
)
from PIL import Image


@torch.no_grad()
def encode_video(pipe: WanVideoPipeline, frames: Sequence[Image.Image]) -> torch.Tensor:
    """Return the latents of a clip, [channels, latent frames, height / 16, width / 16] for Wan2.2-TI2V-5B."""
    pipe.scheduler.set_timesteps(1000, training=True)
    result = WanVideoUnit_InputVideoEmbedder().process(
        pipe,
        input_video=frames,
        noise=None,
        tiled=False,
        tile_size=None,
        tile_stride=None,
        vace_reference_image=None,
        framewise_decoding=False,
        animate2_reference_image=None,
        animate2_reference_video=None,
    )
    return result["input_latents"][0]


@torch.no_grad()
def encode_prompt(pipe: WanVideoPipeline, prompt: str) -> torch.Tensor:
    """Return a prompt's embedding without its padding, [tokens, channels]; in the unit the padding is zero."""
    context = WanVideoUnit_PromptEmbedder().process(pipe, prompt=prompt, positive=True)["context"]
    _, mask = pipe.tokenizer(prompt, return_mask=True, add_special_tokens=True)
    return context[0, : int(mask.sum())]
