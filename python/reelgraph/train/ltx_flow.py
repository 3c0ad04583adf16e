"""One planned micro step of LTX-2: flow matching on video, and on sound where there is any, as its own trainer does it.

diffsynth's own model function runs the transformer; only what is random comes from the plan.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from diffsynth.models.ltx2_audio_vae import AudioPatchifier
from diffsynth.models.ltx2_common import (
    VIDEO_SCALE_FACTORS,
    AudioLatentShape,
    VideoLatentShape,
    get_pixel_coords,
)
from diffsynth.models.ltx2_dit import LTXModel
from diffsynth.models.ltx2_text_encoder import LTX2TextEncoderPostModules
from diffsynth.models.ltx2_video_vae import VideoLatentPatchifier
from diffsynth.pipelines.ltx2_audio_video import model_fn_ltx2

from reelgraph.train.plan import MicroStep

Tensor = torch.Tensor


@dataclass(frozen=True)
class LtxSample:
    """A micro step with its tensors, each with a first dimension of one.

    ``features`` [1, tokens, channels] is what the connectors make the text's context of, ``mask`` [1, tokens] says
    which of its tokens are real; ``sound`` and ``sound_noise`` are None in a set without sound.
    """

    micro_step: MicroStep
    video: Tensor
    noise: Tensor
    features: Tensor
    mask: Tensor
    fps: float
    sound: Tensor | None = None
    sound_noise: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors that are there, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if torch.is_tensor(value)}


@dataclass(frozen=True)
class LtxTransformer:
    """LTX-2's transformer and the connectors between it and the text; ``recompute``: ``none`` or ``full``."""

    dit: LTXModel
    connectors: LTX2TextEncoderPostModules
    recompute: str = "none"

    @torch.no_grad()
    def contexts(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the contexts of video and of sound, both [1, tokens, channels]."""
        additive = (mask - 1).to(features.dtype)[:, None, None] * torch.finfo(features.dtype).max
        video, sound, _ = self.connectors.create_embeddings(features, features, additive)
        return video, sound

    def predict(
        self,
        video: Tensor,
        sound: Tensor | None,
        contexts: tuple[Tensor, Tensor],
        sigma: float,
        fps: float,
        given: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the velocities of ``video`` [1, 128, frames, height, width] and ``sound`` [1, 8, steps, 16].

        With ``given`` the first latent frame of ``video`` is clean, at timestep 0.
        """
        inputs = {"video_latents": video, "video_context": contexts[0], "video_patchifier": VIDEO_PATCHES}
        inputs["video_positions"] = video_positions(video, fps)
        if given:
            mask = torch.ones_like(video[:, :1])
            mask[:, :, 0] = 0
            inputs |= {"input_latents_video": video, "denoise_mask_video": mask}
        if sound is not None:
            inputs |= {"audio_latents": sound, "audio_context": contexts[1], "audio_patchifier": SOUND_PATCHES}
            shape = AudioLatentShape.from_torch_shape(sound.shape)
            inputs["audio_positions"] = SOUND_PATCHES.get_patch_grid_bounds(shape, device=sound.device)
        again = self.recompute == "full" and torch.is_grad_enabled()
        timestep = torch.full((1,), 1000 * sigma, device=video.device)
        prediction = model_fn_ltx2(self.dit, timestep=timestep, use_gradient_checkpointing=again, **inputs)
        return prediction[0], None if sound is None else prediction[1]


VIDEO_PATCHES, SOUND_PATCHES = VideoLatentPatchifier(patch_size=1), AudioPatchifier(patch_size=1)


def video_positions(video: Tensor, fps: float) -> Tensor:
    """Return where each token lies, [1, 3, tokens, 2]: seconds, rows and columns, first and last, in pixels."""
    grid = VIDEO_PATCHES.get_patch_grid_bounds(VideoLatentShape.from_torch_shape(video.shape), device=video.device)
    positions = get_pixel_coords(grid, VIDEO_SCALE_FACTORS, True).float()
    positions[:, 0] = positions[:, 0] / fps
    return positions.to(video.dtype)


def ltx_loss(transformer: LtxTransformer, sample: LtxSample) -> Tensor:
    """Return the mean square error of the video's velocity plus that of the sound's, a float32 scalar.

    Noise is mixed in float32. With ``micro_step.first_frame`` the clip's own first latent frame is given clean and
    left out of the loss.
    """
    given, sigma = sample.micro_step.first_frame, sample.micro_step.timestep / 1000
    noisy, target = _mixed(sample.video, sample.noise, sigma)
    if given:
        noisy = torch.cat([sample.video.float()[:, :, :1], noisy[:, :, 1:]], dim=2)
    sound, sound_target = None, None
    if sample.sound is not None and sample.sound_noise is not None:
        sound, sound_target = _mixed(sample.sound, sample.sound_noise, sigma)
        sound = sound.to(sample.sound.dtype)
    contexts = transformer.contexts(sample.features, sample.mask)
    prediction, sound_prediction = transformer.predict(
        noisy.to(sample.video.dtype), sound, contexts, sigma, sample.fps, given
    )
    if given:
        prediction, target = prediction[:, :, 1:], target[:, :, 1:]
    loss = torch.nn.functional.mse_loss(prediction.float(), target)
    if sound_prediction is not None and sound_target is not None:
        loss = loss + torch.nn.functional.mse_loss(sound_prediction.float(), sound_target)
    return loss


def _mixed(clean: Tensor, noise: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    clean = clean.float()
    return (1 - sigma) * clean + sigma * noise, noise - clean
