"""Loads LTX-2's parts through diffsynth's registry, the released ones and ltx2-tiny alike."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from diffsynth.configs import MODEL_CONFIGS
from diffsynth.core import ModelConfig
from diffsynth.core.loader import hash_model_file
from diffsynth.models.ltx2_text_encoder import LTXVGemmaTokenizer
from diffsynth.models.model_loader import ModelPool
from diffsynth.pipelines.ltx2_audio_video import LTX2AudioVideoPipeline
from safetensors import SafetensorError

from reelgraph.errors import StageError

# ltx2-tiny names its classes, and diffsynth imports them by name.
from reelgraph.train import ltx_small  # noqa: F401
from reelgraph.train.ltx_model import PARTS, TEXT_LENGTH, describe_ltx, part_files
from reelgraph.train.strict import DTYPES

ATTRIBUTES = {
    "dit": "dit",
    "connectors": "text_encoder_post_modules",
    "video_encoder": "video_vae_encoder",
    "video_decoder": "video_vae_decoder",
    "audio_encoder": "audio_vae_encoder",
    "audio_decoder": "audio_vae_decoder",
    "vocoder": "audio_vocoder",
    "text_encoder": "text_encoder",
}


def load_ltx(
    directory: Path, parts: Collection[str], device: str, dtype: str, text_encoder: Path | None = None
) -> LTX2AudioVideoPipeline:
    """Load ``parts`` of a model into diffsynth's pipeline, and only these, whatever else their file holds.

    Gemma comes out of ``text_encoder`` where the model's own directory does not hold it, the tokenizer with it. Raises
    StageError for a missing file or one of unknown architecture.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise StageError(f"device '{device}': no CUDA device is there; run on a machine with one, or set device to cpu")
    pipe = LTX2AudioVideoPipeline(device=device, torch_dtype=DTYPES[dtype])
    for part in sorted(parts):
        of_text = part == "text_encoder" and text_encoder is not None
        own = text_encoder if of_text and text_encoder is not None else directory
        description = describe_ltx(own)
        print(f"loading {part} of {description['name']}", file=sys.stderr, flush=True)
        model = _load_part(part, part_files(own, description, part), description, device, DTYPES[dtype])
        setattr(pipe, ATTRIBUTES[part], model.eval().requires_grad_(False))
        if part == "text_encoder":
            pipe.tokenizer = LTXVGemmaTokenizer(str(own / description["tokenizer"]), max_length=TEXT_LENGTH)
    return pipe


def _load_part(
    part: str, files: list[Path], description: dict[str, Any], device: str, dtype: torch.dtype
) -> torch.nn.Module:
    paths = [str(path) for path in files]
    path = paths if len(paths) > 1 else paths[0]
    name = PARTS[part][1]
    try:
        model_hash = hash_model_file(path)
    except SafetensorError as error:
        raise StageError(
            f"{files[0].name}: the model's {part} is cut short or damaged ({error}); fetch it again"
        ) from error
    known = [entry for entry in MODEL_CONFIGS if (entry["model_hash"], entry["model_name"]) == (model_hash, name)]
    known = known or [entry for entry in description.get("registry", []) if entry["model_name"] == name]
    if not known:
        raise StageError(
            f"{files[0].name}: diffsynth does not know its tensors as a {part} (hash {model_hash}); "
            "it is incomplete or of another model, fetch LTX-2 again"
        )
    settings = ModelConfig(path=path).vram_config()
    settings["computation_dtype"], settings["computation_device"] = dtype, device
    return ModelPool().load_model_file(known[0], path, settings)
