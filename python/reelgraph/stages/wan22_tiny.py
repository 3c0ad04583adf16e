"""Make wan22-tiny: the architecture of a Wan2.2 model at toy width, with seeded random weights and no training at all.

It exists so that the code which trains the released model runs in minutes on a CPU; it draws nothing one could show.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from diffsynth.models.wan_video_dit import WanModel
from diffsynth.models.wan_video_text_encoder import WanTextEncoder

from reelgraph.errors import StageError
from reelgraph.files import write_json
from reelgraph.stage import Stage
from reelgraph.train.model import TOKENIZER_DIRECTORY
from reelgraph.train.random_weights import random_weights
from reelgraph.train.tensors import write_tensors
from reelgraph.train.tokenizer import small_tokenizer
from reelgraph.train.wan import SmallWanVideoVAE, SmallWanVideoVAE38

TEXT_LENGTH = 512


@dataclass(frozen=True)
class Variant:
    """What tells the three models apart: transformers, latent channels, and how a first frame is given."""

    transformers: dict[str, str]
    latent_channels: int
    condition_channels: int
    autoencoder: type[torch.nn.Module]
    autoencoder_file: str


FILE = "diffusion_pytorch_model.safetensors"
EXPERTS = {"dit_high_noise": f"high_noise_model/{FILE}", "dit_low_noise": f"low_noise_model/{FILE}"}
VARIANTS = {
    "Wan2.2-TI2V-5B": Variant({"dit": FILE}, 48, 0, SmallWanVideoVAE38, "Wan2.2_VAE.safetensors"),
    "Wan2.2-T2V-A14B": Variant(EXPERTS, 16, 0, SmallWanVideoVAE, "Wan2.1_VAE.safetensors"),
    "Wan2.2-I2V-A14B": Variant(EXPERTS, 16, 20, SmallWanVideoVAE, "Wan2.1_VAE.safetensors"),
}


@dataclass(frozen=True)
class Inputs:
    """The stage makes its output from parameters alone."""


@dataclass(frozen=True)
class Parameters:
    """Widths and depths; what is not here is as in the released model."""

    architecture: str
    seed: int
    dit_dim: int
    dit_ffn_dim: int
    dit_heads: int
    dit_layers: int
    text_dim: int
    text_heads: int
    text_layers: int
    vae_dim: int


def check_widths(parameters: Parameters) -> None:
    """Raise a StageError unless the heads split the widths, and rotary positions a transformer head."""
    head, rest = divmod(parameters.dit_dim, parameters.dit_heads)
    if rest or head % 2 or head // 3 % 2:
        raise StageError(
            f"dit_dim {parameters.dit_dim} over {parameters.dit_heads} heads: rotary positions need an even head width "
            "with an even third, such as 12, 24 or 48"
        )
    if parameters.text_dim % parameters.text_heads:
        raise StageError(
            f"text_dim {parameters.text_dim} over {parameters.text_heads} heads: expected a multiple of the heads"
        )


def arguments(parameters: Parameters, vocabulary: int) -> dict[str, dict[str, Any]]:
    """Return the constructor arguments of each kind of part."""
    variant = VARIANTS[parameters.architecture]
    single = "dit" in variant.transformers
    autoencoder = {"z_dim": variant.latent_channels, "dim": parameters.vae_dim, "num_res_blocks": 1}
    return {
        "dit": {
            "has_image_input": False,
            "patch_size": [1, 2, 2],
            "in_dim": variant.latent_channels + variant.condition_channels,
            "out_dim": variant.latent_channels,
            "dim": parameters.dit_dim,
            "ffn_dim": parameters.dit_ffn_dim,
            "freq_dim": 256,
            "text_dim": parameters.text_dim,
            "num_heads": parameters.dit_heads,
            "num_layers": parameters.dit_layers,
            "eps": 1e-6,
            "seperated_timestep": single,
            "require_clip_embedding": False,
            "require_vae_embedding": variant.condition_channels > 0,
            "fuse_vae_embedding_in_latents": single,
        },
        "text_encoder": {
            "vocab": vocabulary,
            "dim": parameters.text_dim,
            "dim_attn": parameters.text_dim,
            "dim_ffn": 2 * parameters.text_dim,
            "num_heads": parameters.text_heads,
            "num_layers": parameters.text_layers,
        },
        "vae": {**autoencoder, "dec_dim": parameters.vae_dim} if single else autoencoder,
    }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write the weight files, the tokenizer and model.json."""
    check_widths(parameters)
    tokenizer = small_tokenizer(TEXT_LENGTH)
    tokenizer.save_pretrained(out / TOKENIZER_DIRECTORY)
    variant, built = VARIANTS[parameters.architecture], arguments(parameters, len(tokenizer))
    files: dict[str, tuple[type[torch.nn.Module], str]] = {
        **{part: (WanModel, file) for part, file in variant.transformers.items()},
        "text_encoder": (WanTextEncoder, "models_t5_umt5-xxl-enc-bf16.safetensors"),
        "vae": (variant.autoencoder, variant.autoencoder_file),
    }
    parts: dict[str, Any] = {}
    for part, (model_class, file) in files.items():
        options = built[part.partition("_")[0] if part.startswith("dit") else part]
        weights = random_weights(lambda kind=model_class, options=options: kind(**options), parameters.seed, part)
        if part == "vae":
            weights = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
        (out / file).parent.mkdir(exist_ok=True)
        write_tensors(out / file, weights)
        model_name = f"{model_class.__module__}.{model_class.__qualname__}"
        parts[part] = {"files": [file], "model_class": model_name, "extra_kwargs": options}
    converters = "diffsynth.utils.state_dict_converters.wan_video_vae"
    parts["vae"]["state_dict_converter"] = f"{converters}.WanVideoVAEStateDictConverter"
    write_json(
        out / "model.json",
        {
            "name": "wan22-tiny",
            "architecture": parameters.architecture,
            "weights": "random",
            "description": f"{parameters.architecture}'s architecture at toy width, untrained, for tests.",
            "sizes": asdict(parameters),
            "parts": parts,
            "tokenizer": TOKENIZER_DIRECTORY,
        },
    )


STAGE = Stage(name="wan22-tiny", inputs=Inputs, parameters=Parameters, outputs={"model.json": "model"}, run=run)

if __name__ == "__main__":
    STAGE.main()
