"""The shared trainer on LTX-2: which layers carry the LoRA, and what a step needs of the GPU."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.ltx2_dit import LTXModel

from reelgraph.files import read_json
from reelgraph.train.gradients import Gradients
from reelgraph.train.lora import Parameters, inject_lora
from reelgraph.train.ltx_flow import ltx_loss
from reelgraph.train.ltx_loader import LtxLoader
from reelgraph.train.ltx_transformer import LtxTransformer
from reelgraph.train.processes import Processes
from reelgraph.train.trainer import Trainer

# What LTX-2's own recipe adapts: every attention, here of video; without sound the others would get no gradient.
VIDEO_ATTENTION = ("attn1", "attn2")
SOUND_ATTENTION = ("audio_attn1", "audio_attn2", "audio_to_video_attn", "video_to_audio_attn")
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")


def target_layers(with_sound: bool) -> tuple[str, ...]:
    """Return the layers of a block that carry the LoRA."""
    attention = VIDEO_ATTENTION + (SOUND_ATTENTION if with_sound else ())
    return tuple(f"{name}.{projection}" for name in attention for projection in PROJECTIONS)


def inject_ltx_lora(dit: LTXModel, rank: int, seed: int, with_sound: bool) -> Parameters:
    """Add LoRA to the attention layers of ``dit``, freeze all else, and return its parameters by name."""
    return inject_lora(dit, rank, seed, target_layers(with_sound), "transformer_blocks")


def make_ltx_trainer(
    transformer: LtxTransformer,
    optimizer: torch.optim.Optimizer,
    video: Mapping[str, Path],
    sound: Mapping[str, Path],
    text: Mapping[str, Path],
    processes: Processes,
    recipe: Mapping[str, Any],
) -> Trainer:
    """Return the trainer for a transformer that carries the LoRA; without ``sound`` it learns video alone."""
    weight = transformer.dit.patchify_proj.weight
    fps = {episode: read_json(path / "latents.json")["fps"] for episode, path in video.items()}
    loader = LtxLoader(video, sound, text, fps, transformer.contexts, weight.device, weight.dtype)
    gradients = Gradients(partial(ltx_loss, transformer), optimizer.param_groups[0]["params"], recorded=weight.is_cuda)
    return Trainer(gradients, optimizer, loader, processes, recipe["gradient_clip"])
