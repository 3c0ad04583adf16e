"""LTX-2's parts with every width open; diffsynth's own classes fix those of the autoencoders and of Gemma."""

from __future__ import annotations

import torch
from diffsynth.models import ltx2_audio_vae, ltx2_video_vae
from diffsynth.models.ltx2_audio_vae import LTX2AudioDecoder, LTX2AudioEncoder
from diffsynth.models.ltx2_text_encoder import (
    Embeddings1DConnector,
    GemmaFeaturesExtractorProjLinear,
    LTX2TextEncoderPostModules,
)
from diffsynth.models.ltx2_video_vae import LTX2VideoEncoder, PaddingModeType, make_conv_nd
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

VIDEO_CHANNELS = 128
# Eight channels of sixteen frequency bins.
AUDIO_CHANNELS = 128


class SmallLTX2VideoEncoder(LTX2VideoEncoder):
    """The video encoder at another inner width; the latents keep their channels."""

    def __init__(self, width: int) -> None:
        super().__init__(out_channels=width)
        self.latent_channels = VIDEO_CHANNELS
        self.per_channel_statistics = ltx2_video_vae.PerChannelStatistics(VIDEO_CHANNELS)
        self.conv_out = make_conv_nd(
            dims=3,
            in_channels=16 * width,
            out_channels=VIDEO_CHANNELS + 1,
            kernel_size=3,
            padding=1,
            causal=True,
            spatial_padding_mode=PaddingModeType.ZEROS,
        )


class SmallLTX2AudioEncoder(LTX2AudioEncoder):
    """The audio encoder at another inner width; the latents keep their channels."""

    def __init__(self, ch: int) -> None:
        super().__init__(ch=ch)
        self.per_channel_statistics = ltx2_audio_vae.PerChannelStatistics(AUDIO_CHANNELS)


class SmallLTX2AudioDecoder(LTX2AudioDecoder):
    """The audio decoder at another inner width; the latents keep their channels."""

    def __init__(self, ch: int) -> None:
        super().__init__(ch=ch)
        self.per_channel_statistics = ltx2_audio_vae.PerChannelStatistics(AUDIO_CHANNELS)


class SmallLTX2TextEncoder(Gemma3ForConditionalGeneration):
    """Gemma 3 at another width and depth, a sixth of its layers looking at the whole text as in the released one."""

    def __init__(self, vocabulary: int, width: int, heads: int, layers: int) -> None:
        text = {
            "vocab_size": vocabulary,
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": max(1, heads // 2),
            "head_dim": width // heads,
            "query_pre_attn_scalar": width // heads,
            "sliding_window": 1024,
            "pad_token_id": 0,
        }
        picture = {
            "hidden_size": width,
            "intermediate_size": 4 * width,
            "num_attention_heads": heads,
            "num_hidden_layers": 1,
            "image_size": 28,
            "patch_size": 14,
            "vision_use_head": False,
        }
        super().__init__(Gemma3Config(text_config=text, vision_config=picture, mm_tokens_per_image=1))


class SmallLTX2TextEncoderPostModules(LTX2TextEncoderPostModules):
    """What makes LTX-2's context of Gemma's hidden states: a projection, and a connector each for video and audio."""

    def __init__(self, width: int, heads: int, gemma_layers: int) -> None:
        torch.nn.Module.__init__(self)
        self.feature_extractor_linear = _small_projection(width, gemma_layers)
        self.embeddings_connector = Embeddings1DConnector(width // heads, heads)
        self.audio_embeddings_connector = Embeddings1DConnector(width // heads, heads)


def _small_projection(width: int, gemma_layers: int) -> GemmaFeaturesExtractorProjLinear:
    projection = GemmaFeaturesExtractorProjLinear.__new__(GemmaFeaturesExtractorProjLinear)
    torch.nn.Module.__init__(projection)
    # The embeddings count as a layer too.
    projection.aggregate_embed = torch.nn.Linear(width * (gemma_layers + 1), width, bias=False)
    return projection
