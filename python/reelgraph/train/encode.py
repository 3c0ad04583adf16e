"""Clips and captions through the pipeline's own units: stored tensors are what the stock trainer would compute."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from diffsynth.pipelines.wan_video import (
    WanVideoPipeline,
    WanVideoUnit_ImageEmbedderVAE,
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
def encode_condition(pipe: WanVideoPipeline, frames: Sequence[Image.Image]) -> torch.Tensor:
    """Return what Wan2.2-I2V-A14B sees of a clip's first frame, [4 + channels, latent frames, height/8, width/8]."""
    # The unit asks the transformer only whether it wants this; loading one for that would take 28 GB.
    pipe.dit = SimpleNamespace(require_vae_embedding=True)
    width, height = frames[0].size
    size = {"num_frames": len(frames), "height": height, "width": width}
    tiles = {"tiled": False, "tile_size": None, "tile_stride": None}
    return WanVideoUnit_ImageEmbedderVAE().process(pipe, input_image=frames[0], end_image=None, **size, **tiles)["y"][0]


@torch.no_grad()
def encode_prompt(pipe: WanVideoPipeline, prompt: str) -> torch.Tensor:
    """Return a prompt's embedding without its padding, [tokens, channels]; in the unit the padding is zero."""
    context = WanVideoUnit_PromptEmbedder().process(pipe, prompt=prompt, positive=True)["context"]
    _, mask = pipe.tokenizer(prompt, return_mask=True, add_special_tokens=True)
    return context[0, : int(mask.sum())]
