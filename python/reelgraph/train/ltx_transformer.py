"""LTX-2's transformer as training runs it: diffsynth's modules and arithmetic, in a way that CUDA can record.

Against diffsynth's own forward pass: the frequencies of rotary positions stay on the device instead of coming from the
processor each time, and what is computed again does not ask for the state of random numbers, of which there are none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from diffsynth.models.ltx2_audio_vae import AudioPatchifier
from diffsynth.models.ltx2_common import (
    VIDEO_SCALE_FACTORS,
    AudioLatentShape,
    Modality,
    VideoLatentShape,
    get_pixel_coords,
)
from diffsynth.models.ltx2_dit import (
    LTXModel,
    TransformerArgsPreprocessor,
    generate_freq_grid_np,
    generate_freq_grid_pytorch,
    precompute_freqs_cis,
)
from diffsynth.models.ltx2_text_encoder import LTX2TextEncoderPostModules
from diffsynth.models.ltx2_video_vae import VideoLatentPatchifier
from diffsynth.pipelines.ltx2_audio_video import model_fn_ltx2
from torch.utils.checkpoint import checkpoint

from reelgraph.train.transformer import CHECKPOINT

Tensor = torch.Tensor
VIDEO_PATCHES, SOUND_PATCHES = VideoLatentPatchifier(patch_size=1), AudioPatchifier(patch_size=1)


def video_positions(video: Tensor, fps: float) -> Tensor:
    """Return where each token lies, [1, 3, tokens, 2]: seconds, rows and columns, first and last, in pixels."""
    grid = VIDEO_PATCHES.get_patch_grid_bounds(VideoLatentShape.from_torch_shape(video.shape), device=video.device)
    positions = get_pixel_coords(grid, VIDEO_SCALE_FACTORS, True).float()
    positions[:, 0] = positions[:, 0] / fps
    return positions.to(video.dtype)


@dataclass(frozen=True)
class LtxTransformer:
    """LTX-2's transformer and the connectors between it and the text; ``recompute``: ``none`` or ``full``."""

    dit: LTXModel
    connectors: LTX2TextEncoderPostModules
    recompute: str = "none"
    _frequencies: dict[tuple[float, int, int], Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def contexts(self, features: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the contexts of video and of sound, both [1, tokens, channels]; waits for the GPU."""
        additive = (mask - 1).to(features.dtype)[:, None, None] * torch.finfo(features.dtype).max
        video, sound, _ = self.connectors.create_embeddings(features, features, additive)
        return video, sound

    def predict(
        self,
        video: Tensor,
        positions: Tensor,
        context: Tensor,
        sound: Tensor | None,
        sound_context: Tensor | None,
        timestep: Tensor,
        given: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the velocities of ``video`` [1, 128, frames, height, width] and ``sound`` [1, 8, steps, 16].

        ``positions`` are `video_positions`, ``timestep`` is [1], a float32. With ``given`` the first latent frame of
        ``video`` is clean, at timestep 0.
        """
        inputs = {"video_latents": video, "video_positions": positions, "video_context": context}
        if given:
            mask = torch.ones_like(video[:, :1])
            mask[:, :, 0].zero_()
            inputs |= {"input_latents_video": video, "denoise_mask_video": mask}
        if sound is not None:
            shape = AudioLatentShape.from_torch_shape(sound.shape)
            sound_positions = SOUND_PATCHES.get_patch_grid_bounds(shape, device=sound.device)
            inputs |= {"audio_latents": sound, "audio_positions": sound_positions, "audio_context": sound_context}
        patches = {"video_patchifier": VIDEO_PATCHES, "audio_patchifier": SOUND_PATCHES}
        prediction = model_fn_ltx2(self._run, timestep=timestep, **inputs, **patches)
        return prediction[0], None if sound is None else prediction[1]

    def _run(
        self,
        sigma: Tensor,
        video_latents: Tensor,
        video_timesteps: Tensor,
        video_positions: Tensor,
        video_context: Tensor,
        audio_latents: Tensor | None,
        audio_timesteps: Tensor | None,
        audio_positions: Tensor | None,
        audio_context: Tensor | None,
        **_: Any,
    ) -> tuple[Tensor, Tensor | None]:
        # What LTXModel.forward does.
        dit = self.dit
        dit._init_preprocessors(max(dit.positional_embedding_max_pos[0], dit.audio_positional_embedding_max_pos[0]))
        for preprocessor in (dit.video_args_preprocessor, dit.audio_args_preprocessor):
            simple = preprocessor.simple_preprocessor
            simple._prepare_positional_embeddings = partial(self._rotations, simple)
        video = Modality(video_latents, sigma, video_timesteps, video_positions, video_context)
        sound = None
        if audio_latents is not None:
            sound = Modality(audio_latents, sigma, audio_timesteps, audio_positions, audio_context)
        seen = dit.video_args_preprocessor.prepare(video, sound)
        heard = None if sound is None else dit.audio_args_preprocessor.prepare(sound, video)
        again = self.recompute == "full" and torch.is_grad_enabled()
        for block in dit.transformer_blocks:
            seen, heard = checkpoint(block, seen, heard, **CHECKPOINT) if again else block(seen, heard)
        last = (dit.scale_shift_table, dit.norm_out, dit.proj_out)
        velocity = dit._process_output(*last, seen.x, seen.embedded_timestep)
        if heard is None:
            return velocity, None
        last = (dit.audio_scale_shift_table, dit.audio_norm_out, dit.audio_proj_out)
        return velocity, dit._process_output(*last, heard.x, heard.embedded_timestep)

    def _rotations(
        self, simple: TransformerArgsPreprocessor, positions: Tensor, inner_dim: int, x_dtype: torch.dtype, **sizes: Any
    ) -> tuple[Tensor, Tensor]:
        # What TransformerArgsPreprocessor._prepare_positional_embeddings does.
        return precompute_freqs_cis(
            positions,
            inner_dim,
            x_dtype,
            simple.positional_embedding_theta,
            rope_type=simple.rope_type,
            freq_grid_generator=self._frequencies_of,
            **sizes,
        )

    def _frequencies_of(self, *sizes: Any) -> Tensor:
        if sizes not in self._frequencies:
            generate = generate_freq_grid_np if self.dit.double_precision_rope else generate_freq_grid_pytorch
            self._frequencies[sizes] = generate(*sizes).to(self.dit.patchify_proj.weight.device)
        return self._frequencies[sizes]
