"""Loads Wan2.2 models through diffsynth's registry, the released ones and wan22-tiny alike."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core import ModelConfig
from diffsynth.core.loader import hash_model_file
from diffsynth.models.wan_video_vae import VideoVAE38_, VideoVAE_, WanVideoVAE, WanVideoVAE38
from diffsynth.pipelines.wan_video import WanVideoPipeline
from safetensors import SafetensorError

from reelgraph.errors import StageError
from reelgraph.train.model import describe_model, part_files
from reelgraph.train.strict import DTYPES

REGISTRY_NAMES = {
    "dit": "wan_video_dit",
    "dit_high_noise": "wan_video_dit",
    "dit_low_noise": "wan_video_dit",
    "text_encoder": "wan_video_text_encoder",
    "vae": "wan_video_vae",
}


class SmallWanVideoVAE38(WanVideoVAE38):
    """Wan2.2's video autoencoder with every width open; diffsynth's own class fixes the decoder's."""

    def __init__(self, z_dim: int, dim: int, dec_dim: int, num_res_blocks: int) -> None:
        super().__init__(z_dim=z_dim, dim=dim)
        model = VideoVAE38_(z_dim=z_dim, dim=dim, dec_dim=dec_dim, num_res_blocks=num_res_blocks)
        self.model = model.eval().requires_grad_(False)


class SmallWanVideoVAE(WanVideoVAE):
    """The A14B models' video autoencoder, Wan2.1's, with every width open."""

    def __init__(self, z_dim: int, dim: int, num_res_blocks: int) -> None:
        super().__init__(z_dim=z_dim)
        self.model = VideoVAE_(z_dim=z_dim, dim=dim, num_res_blocks=num_res_blocks).eval().requires_grad_(False)


def load_pipeline(directory: Path, parts: Collection[str], device: str, dtype: str) -> WanVideoPipeline:
    """Load ``parts`` (``dit`` or an expert's, ``text_encoder``, ``vae``) of a model into diffsynth's pipeline.

    The tokenizer comes with the text encoder. Raises StageError for a missing file or one of unknown architecture.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise StageError(f"device '{device}': no CUDA device is there; run on a machine with one, or set device to cpu")
    description = describe_model(directory)
    configs = [_model_config(directory, part, description["parts"].get(part, {})) for part in sorted(parts)]
    tokenizer = None
    if "text_encoder" in parts:
        tokenizer = ModelConfig(path=str(_existing(directory, description["tokenizer"], "tokenizer")))
    return WanVideoPipeline.from_pretrained(
        torch_dtype=DTYPES[dtype], device=device, model_configs=configs, tokenizer_config=tokenizer
    )


def _model_config(directory: Path, part: str, description: dict[str, Any]) -> ModelConfig:
    files = description.get("files", [])
    if not files:
        expected = " or ".join(part_files(part))
        raise StageError(f"the model has no {part}: expected {expected} in its directory; fetch the whole model")
    paths = [str(_existing(directory, file, part)) for file in files]
    path = paths if len(paths) > 1 else paths[0]
    try:
        model_hash = hash_model_file(path)
    except SafetensorError as error:
        raise StageError(f"{files[0]}: the model's {part} is cut short or damaged ({error}); fetch it again") from error
    if not any(known["model_hash"] == model_hash for known in MODEL_CONFIGS):
        if "model_class" not in description:
            raise StageError(
                f"{files[0]}: diffsynth does not know its tensors as a {part} (hash {model_hash}); "
                "it is incomplete or of another model, fetch Wan2.2 again"
            )
        # The registry is diffsynth's way to add an architecture; the released models are in it already.
        extra = {key: value for key, value in description.items() if key != "files"}
        MODEL_CONFIGS.append({"model_hash": model_hash, "model_name": REGISTRY_NAMES[part], **extra})
    return ModelConfig(path=path)


def _existing(directory: Path, file: str, part: str) -> Path:
    path = directory / file
    if not path.exists():
        raise StageError(f"the model lacks {file}, its {part}; fetch or build it again")
    return path
