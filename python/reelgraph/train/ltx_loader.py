"""Reads what LTX-2's micro steps need: latents of video and sound, the text's features, and the planned noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import torch

from reelgraph.train.ahead import ahead, read_encoded
from reelgraph.train.counter import draw_normal
from reelgraph.train.ltx_flow import LtxClip, LtxSample, level
from reelgraph.train.ltx_padding import padded, padding_mask
from reelgraph.train.ltx_transformer import video_positions
from reelgraph.train.plan import MicroStep

Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class LoadedClip(LtxClip):
    """A micro step with its text as it was kept.

    ``features`` [1, tokens, channels] is what the connectors make the contexts of, ``mask`` [1, tokens] says which of
    its tokens are real.
    """

    features: Tensor
    mask: Tensor


@dataclass(frozen=True)
class LtxLoader:
    """Where what each episode was encoded to lies, and where and in which number format to hand it out.

    ``contexts`` makes those of video and sound of a text's features and mask.
    """

    video: Mapping[str, Path]
    sound: Mapping[str, Path]
    text: Mapping[str, Path]
    fps: Mapping[str, float]
    contexts: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    device: torch.device
    dtype: torch.dtype

    def samples(self, micro_steps: Iterable[MicroStep]) -> Iterator[LtxSample]:
        """Yield the micro steps with their tensors on the device, in order; a StageError names a clip without them."""
        return map(self.with_contexts, ahead(micro_steps, self.load, self.device))

    def load(self, micro_step: MicroStep) -> LoadedClip:
        """Return a micro step with its tensors on the CPU."""
        clip = f"{micro_step.clip}.safetensors"
        video = read_encoded(self.video, micro_step, f"latents/{clip}", "latents")["latents"][None].to(self.dtype)
        sound = None
        if self.sound:
            sound = read_encoded(self.sound, micro_step, f"sound/{clip}", "sound")["latents"][None].to(self.dtype)
        text = read_encoded(self.text, micro_step, f"text/{micro_step.prompt}.safetensors", "text")["features"]
        return LoadedClip(
            micro_step=micro_step,
            video=video,
            noise=_noise(video, micro_step.noise_seed),
            level=level(micro_step),
            positions=video_positions(video, self.fps[micro_step.episode]),
            sound=sound,
            sound_noise=None if sound is None else _noise(sound, micro_step.noise_seed, "sound"),
            features=padded(text).to(self.dtype)[None],
            mask=padding_mask(text.shape[0])[None],
        )

    def with_contexts(self, loaded: LoadedClip) -> LtxSample:
        """Return a loaded micro step as a loss takes it."""
        # Not in the loss, since the connectors ask the GPU how many tokens are real, which a recording cannot.
        context, sound_context = self.contexts(loaded.features, loaded.mask)
        values = {field.name: getattr(loaded, field.name) for field in fields(LtxClip)}
        return LtxSample(**values, context=context, sound_context=None if loaded.sound is None else sound_context)


def _noise(like: Tensor, seed: int, *labels: object) -> Tensor:
    return torch.from_numpy(draw_normal(tuple(like.shape), seed, *labels))
