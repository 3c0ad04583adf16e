"""Reads what Wan's micro steps need: latents, embedding, noise level and noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from reelgraph.train.ahead import ahead, read_encoded
from reelgraph.train.context import pad_context
from reelgraph.train.counter import draw_normal
from reelgraph.train.flow import Sample, level
from reelgraph.train.plan import MicroStep


@dataclass(frozen=True)
class WanLoader:
    """Where latents and embeddings of each episode lie, and where and in which number format to hand them out."""

    latents: Mapping[str, Path]
    text: Mapping[str, Path]
    padded_tokens: int
    timestep_shift: float
    device: torch.device
    dtype: torch.dtype

    def samples(self, micro_steps: Iterable[MicroStep]) -> Iterator[Sample]:
        """Yield the micro steps with their tensors on the device, in order; a StageError names a clip without them."""
        return ahead(micro_steps, self.load, self.device)

    def load(self, micro_step: MicroStep) -> Sample:
        """Return a micro step with its tensors on the CPU."""
        encoded = read_encoded(self.latents, micro_step, f"latents/{micro_step.clip}.safetensors", "latents")
        context = read_encoded(self.text, micro_step, f"text/{micro_step.prompt}.safetensors", "context")["context"]
        context, counts = pad_context(context, self.padded_tokens)
        latents = encoded["latents"].unsqueeze(0)
        noise = torch.from_numpy(draw_normal(tuple(latents.shape), micro_step.noise_seed))
        condition = encoded["condition"].unsqueeze(0).to(self.dtype) if "condition" in encoded else None
        context, counts = context.unsqueeze(0).to(self.dtype), counts.unsqueeze(0)
        noise_level = level(micro_step, self.timestep_shift)
        return Sample(micro_step, latents.to(self.dtype), context, counts, noise, noise_level, condition)
