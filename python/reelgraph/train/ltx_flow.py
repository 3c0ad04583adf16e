"""One planned micro step of LTX-2: flow matching on video, and on sound where there is any, as its own trainer does it.

diffsynth's own modules run the transformer; only what is random comes from the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch

from reelgraph.train.ltx_transformer import LtxTransformer
from reelgraph.train.plan import MicroStep

Tensor = torch.Tensor


@dataclass(frozen=True, kw_only=True)
class LtxClip:
    """A micro step with its clip's tensors, each but ``level`` with a first dimension of one.

    ``level`` and ``positions`` are what `level` and `video_positions` return; ``sound`` and ``sound_noise`` are None in
    a set without sound.
    """

    micro_step: MicroStep
    video: Tensor
    noise: Tensor
    level: Tensor
    positions: Tensor
    sound: Tensor | None = None
    sound_noise: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that are there, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if torch.is_tensor(value)}


@dataclass(frozen=True, kw_only=True)
class LtxSample(LtxClip):
    """The same with the text's contexts for video and for sound, [1, tokens, channels]."""

    context: Tensor
    sound_context: Tensor | None = None


def level(micro_step: MicroStep) -> Tensor:
    """Return a micro step's timestep, share of the clip and share of noise, [3] float32."""
    sigma = micro_step.timestep / 1000
    return torch.tensor([1000 * sigma, 1 - sigma, sigma], dtype=torch.float32)


def ltx_loss(transformer: LtxTransformer, sample: LtxSample) -> Tensor:
    """Return the mean square error of the video's velocity plus that of the sound's, a float32 scalar.

    Noise is mixed in float32. With ``micro_step.first_frame`` the clip's own first latent frame is given clean and
    left out of the loss.
    """
    given = sample.micro_step.first_frame
    noisy, target = _mixed(sample.video, sample.noise, sample.level)
    if given:
        noisy = torch.cat([sample.video.float()[:, :, :1], noisy[:, :, 1:]], dim=2)
    sound, sound_target = None, None
    if sample.sound is not None and sample.sound_noise is not None:
        sound, sound_target = _mixed(sample.sound, sample.sound_noise, sample.level)
        sound = sound.to(sample.sound.dtype)
    prediction, sound_prediction = transformer.predict(
        noisy.to(sample.video.dtype),
        sample.positions,
        sample.context,
        sound,
        sample.sound_context,
        sample.level[:1],
        given,
    )
    if given:
        prediction, target = prediction[:, :, 1:], target[:, :, 1:]
    loss = torch.nn.functional.mse_loss(prediction.float(), target)
    if sound_prediction is not None and sound_target is not None:
        loss = loss + torch.nn.functional.mse_loss(sound_prediction.float(), sound_target)
    return loss


def _mixed(clean: Tensor, noise: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    clean = clean.float()
    return level[1] * clean + level[2] * noise, noise - clean
