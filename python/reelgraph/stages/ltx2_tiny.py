"""Make ltx2-tiny: LTX-2's architecture at toy width, with seeded random weights and no training at all.

One file holds transformer, autoencoders, vocoder and text connectors under the released file's names; Gemma and a
tokenizer lie beside it. It exists so that the code which trains the released model runs in minutes on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.ltx2_audio_vae import LTX2Vocoder
from diffsynth.models.ltx2_dit import LTXModel
from diffsynth.models.ltx2_video_vae import LTX2VideoDecoder

from reelgraph.errors import StageError
from reelgraph.files import write_json
from reelgraph.stage import Stage
from reelgraph.train.ltx_model import ARCHITECTURE, PARTS, TEXT_LENGTH
from reelgraph.train.ltx_small import (
    SmallLTX2AudioDecoder,
    SmallLTX2AudioEncoder,
    SmallLTX2TextEncoder,
    SmallLTX2TextEncoderPostModules,
    SmallLTX2VideoEncoder,
)
from reelgraph.train.random_weights import random_weights
from reelgraph.train.tensors import write_tensors
from reelgraph.train.tokenizer import small_tokenizer

CHECKPOINT, TEXT_DIRECTORY = "ltx-2-tiny-dev.safetensors", "text_encoder"
CONVERTERS = "diffsynth.utils.state_dict_converters"
# Class, its module's name in the released file, and the function by which diffsynth reads that file.
CLASSES: dict[str, tuple[type[torch.nn.Module], str, str]] = {
    "dit": (LTXModel, "model.diffusion_model.", "ltx2_dit.LTXModelStateDictConverter"),
    "connectors": (
        SmallLTX2TextEncoderPostModules,
        "",
        "ltx2_text_encoder.LTX2TextEncoderPostModulesStateDictConverter",
    ),
    "video_encoder": (SmallLTX2VideoEncoder, "vae.encoder.", "ltx2_video_vae.LTX2VideoEncoderStateDictConverter"),
    "video_decoder": (LTX2VideoDecoder, "vae.decoder.", "ltx2_video_vae.LTX2VideoDecoderStateDictConverter"),
    "audio_encoder": (SmallLTX2AudioEncoder, "audio_vae.encoder.", "ltx2_audio_vae.LTX2AudioEncoderStateDictConverter"),
    "audio_decoder": (SmallLTX2AudioDecoder, "audio_vae.decoder.", "ltx2_audio_vae.LTX2AudioDecoderStateDictConverter"),
    "vocoder": (LTX2Vocoder, "vocoder.", "ltx2_audio_vae.LTX2VocoderStateDictConverter"),
    "text_encoder": (SmallLTX2TextEncoder, "", "ltx2_text_encoder.LTX2TextEncoderStateDictConverter"),
}
RENAMED = {
    "connectors": {
        "feature_extractor_linear.": "text_embedding_projection.",
        "embeddings_connector.": "model.diffusion_model.video_embeddings_connector.",
        "audio_embeddings_connector.": "model.diffusion_model.audio_embeddings_connector.",
    },
    "text_encoder": {
        "model.language_model.": "language_model.model.",
        "model.vision_tower.": "vision_tower.",
        "model.multi_modal_projector.": "multi_modal_projector.",
        "lm_head.": "language_model.lm_head.",
    },
}


@dataclass(frozen=True)
class Inputs:
    """The stage makes its output from parameters alone."""


@dataclass(frozen=True)
class Parameters:
    """Widths and depths; what is not here is as in the released model."""

    seed: int
    dit_heads: int
    dit_head_dim: int
    dit_audio_head_dim: int
    dit_layers: int
    text_dim: int
    text_heads: int
    text_layers: int
    vae_dim: int
    audio_dim: int
    vocoder_dim: int


def arguments(parameters: Parameters, vocabulary: int) -> dict[str, dict[str, Any]]:
    """Return the constructor arguments of each part."""
    heads, width = parameters.dit_heads, parameters.text_dim
    video, audio = heads * parameters.dit_head_dim, heads * parameters.dit_audio_head_dim
    return {
        "dit": {
            "num_attention_heads": heads,
            "attention_head_dim": parameters.dit_head_dim,
            "audio_num_attention_heads": heads,
            "audio_attention_head_dim": parameters.dit_audio_head_dim,
            "cross_attention_dim": video,
            "audio_cross_attention_dim": audio,
            "caption_channels": width,
            "num_layers": parameters.dit_layers,
        },
        "connectors": {"width": width, "heads": parameters.text_heads, "gemma_layers": parameters.text_layers},
        "video_encoder": {"width": parameters.vae_dim},
        "video_decoder": {"base_channels": parameters.vae_dim},
        "audio_encoder": {"ch": parameters.audio_dim},
        "audio_decoder": {"ch": parameters.audio_dim},
        "vocoder": {"upsample_initial_channel": parameters.vocoder_dim},
        "text_encoder": {
            "vocabulary": vocabulary,
            "width": width,
            "heads": parameters.text_heads,
            "layers": parameters.text_layers,
        },
    }


def check_widths(parameters: Parameters) -> None:
    """Raise a StageError unless the heads split the widths evenly and the vocoder can halve its own five times."""
    for name in ("dit_head_dim", "dit_audio_head_dim"):
        if getattr(parameters, name) % 2:
            raise StageError(f"{name} {getattr(parameters, name)}: rotary positions need an even head width")
    if parameters.text_dim % (2 * parameters.text_heads):
        raise StageError(
            f"text_dim {parameters.text_dim} over {parameters.text_heads} heads: expected an even head width"
        )
    if parameters.vae_dim % 4:
        raise StageError(
            f"vae_dim {parameters.vae_dim}: the decoder folds eight channels into one; take a multiple of 4"
        )
    if parameters.vocoder_dim % 32:
        raise StageError(f"vocoder_dim {parameters.vocoder_dim}: expected a multiple of 32")


def released_name(part: str, name: str) -> str:
    """Return the name that a part's tensor has in the released file."""
    if name.startswith("per_channel_statistics."):
        return f"{CLASSES[part][1].partition('.')[0]}.{name}"
    for own, released in RENAMED.get(part, {}).items():
        if name.startswith(own):
            return released + name.removeprefix(own)
    return CLASSES[part][1] + name


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write the checkpoint, the text encoder with its tokenizer, and model.json."""
    check_widths(parameters)
    tokenizer = small_tokenizer(TEXT_LENGTH)
    tokenizer.save_pretrained(out / TEXT_DIRECTORY)
    options = arguments(parameters, len(tokenizer))
    tensors: dict[str, dict[str, torch.Tensor]] = {"checkpoint": {}, "weights": {}}
    registry = []
    for part, (model_class, _, converter) in CLASSES.items():
        role, model_name = PARTS[part]
        build: Callable[[], torch.nn.Module] = lambda kind=model_class, part=part: kind(**options[part])  # noqa: E731
        weights = random_weights(build, parameters.seed, part)
        tensors[role] |= {released_name(part, name): tensor for name, tensor in weights.items()}
        registry.append(
            {
                "model_name": model_name,
                "model_class": f"{model_class.__module__}.{model_class.__qualname__}",
                "extra_kwargs": options[part],
                "state_dict_converter": f"{CONVERTERS}.{converter}",
            }
        )
    files = {"checkpoint": CHECKPOINT, "weights": f"{TEXT_DIRECTORY}/model-00001-of-00001.safetensors"}
    for role, file in files.items():
        write_tensors(out / file, tensors[role])
    write_json(
        out / "model.json",
        {
            "name": "ltx2-tiny",
            "architecture": ARCHITECTURE,
            "weights": "random",
            "description": "LTX-2's architecture at toy width, untrained, for tests.",
            "sizes": asdict(parameters),
            "parts": {role: {"files": [file]} for role, file in files.items()},
            "registry": registry,
            "tokenizer": TEXT_DIRECTORY,
        },
    )


STAGE = Stage(name="ltx2-tiny", inputs=Inputs, parameters=Parameters, outputs={"model.json": "ltx2-model"}, run=run)

if __name__ == "__main__":
    STAGE.main()
