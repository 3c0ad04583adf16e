"""Reads what LTX-2's micro steps need: latents of video and sound, the text's features, and the planned noise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from reelgraph.train.ahead import ahead, read_encoded
from reelgraph.train.counter import draw_normal
from reelgraph.train.ltx_flow import LtxSample
from reelgraph.train.ltx_padding import padded, padding_mask
from reelgraph.train.plan import MicroStep


@dataclass(frozen=True)
class LtxLoader:
    """Where what each episode was encoded to lies, and where and in which number format to hand it out."""

    video: Mapping[str, Path]
    sound: Mapping[str, Path]
    text: Mapping[str, Path]
    fps: Mapping[str, float]
    device: torch.device
    dtype: torch.dtype

    def samples(self, micro_steps: Iterable[MicroStep]) -> Iterator[LtxSample]:
        """Yield the micro steps with their tensors on the device, in order; a StageError names a clip without them."""
        return ahead(micro_steps, self.load, self.device)

    def load(self, micro_step: MicroStep) -> LtxSample:
        """Return a micro step with its tensors on the CPU."""
        clip = f"{micro_step.clip}.safetensors"
        video = read_encoded(self.video, micro_step, f"latents/{clip}", "latents")["latents"][None]
        sound = None
        if self.sound:
            sound = read_encoded(self.sound, micro_step, f"sound/{clip}", "sound")["latents"][None]
        text = read_encoded(self.text, micro_step, f"text/{micro_step.prompt}.safetensors", "text")["features"]
        return LtxSample(
            micro_step,
            video.to(self.dtype),
            _noise(video, micro_step.noise_seed),
            padded(text).to(self.dtype)[None],
            padding_mask(text.shape[0])[None],
            self.fps[micro_step.episode],
            None if sound is None else sound.to(self.dtype),
            None if sound is None else _noise(sound, micro_step.noise_seed, "sound"),
        )


def _noise(like: torch.Tensor, seed: int, *labels: object) -> torch.Tensor:
    return torch.from_numpy(draw_normal(tuple(like.shape), seed, *labels))
