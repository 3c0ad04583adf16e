"""Clips, sound and captions through LTX-2's autoencoders and text encoder: what its own preprocessing stores."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from diffsynth.pipelines.ltx2_audio_video import LTX2AudioVideoPipeline
from PIL import Image


@torch.no_grad()
def encode_video(pipe: LTX2AudioVideoPipeline, frames: Sequence[Image.Image]) -> torch.Tensor:
    """Return the latents of a clip, [128, latent frames, height / 32, width / 32]."""
    return pipe.video_vae_encoder.encode(pipe.preprocess_video(frames))[0].to(pipe.torch_dtype)


@torch.no_grad()
def encode_sound(pipe: LTX2AudioVideoPipeline, samples: torch.Tensor, rate: int) -> torch.Tensor:
    """Return the latents of stereo ``samples`` [2, samples] in -1 to 1, [8, steps, 16], 25 steps a second."""
    mel = pipe.audio_processor.waveform_to_mel(samples[None], rate).to(dtype=pipe.torch_dtype, device=pipe.device)
    return pipe.audio_vae_encoder(mel)[0]


@torch.no_grad()
def encode_features(pipe: LTX2AudioVideoPipeline, prompt: str) -> torch.Tensor:
    """Return a prompt's features before the connectors, without padding, [tokens, channels]."""
    pairs = pipe.tokenizer.tokenize_with_weights(prompt)["gemma"]
    tokens, mask = (torch.tensor([[pair[n] for pair in pairs]], device=pipe.device) for n in (0, 1))
    states = pipe.text_encoder(input_ids=tokens, attention_mask=mask, output_hidden_states=True).hidden_states
    features, _ = pipe.text_encoder_post_modules.feature_extractor_linear(states, mask, "left")
    return features[0, mask[0].bool()]
