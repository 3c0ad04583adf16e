"""Which files an LTX-2 model and its text encoder hold; nothing here loads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json

ARCHITECTURE = "LTX-2"
# Part of the model: the file role that holds it, and its name in diffsynth's registry.
PARTS = {
    "dit": ("checkpoint", "ltx2_dit"),
    "connectors": ("checkpoint", "ltx2_text_encoder_post_modules"),
    "video_encoder": ("checkpoint", "ltx2_video_vae_encoder"),
    "video_decoder": ("checkpoint", "ltx2_video_vae_decoder"),
    "audio_encoder": ("checkpoint", "ltx2_audio_vae_encoder"),
    "audio_decoder": ("checkpoint", "ltx2_audio_vae_decoder"),
    "vocoder": ("checkpoint", "ltx2_audio_vocoder"),
    "text_encoder": ("weights", "ltx2_text_encoder"),
}
PLAIN_DOWNLOAD = {"checkpoint": "ltx-2-*dev.safetensors", "weights": "model-*.safetensors"}
TEXT_LENGTH = 1024


def describe_ltx(directory: Path) -> dict[str, Any]:
    """Return ``model.json``, or the same for a plain download of LTX-2 or Gemma."""
    if (directory / "model.json").is_file():
        return read_json(directory / "model.json")
    found = {role: sorted(directory.glob(pattern)) for role, pattern in PLAIN_DOWNLOAD.items()}
    return {
        "name": directory.name,
        "architecture": ARCHITECTURE,
        "weights": "released",
        "parts": {role: {"files": [path.name for path in files]} for role, files in found.items() if files},
        "tokenizer": ".",
    }


def part_files(directory: Path, description: dict[str, Any], part: str) -> list[Path]:
    """Return the weight files that hold a part; raise a StageError if the directory lacks them."""
    role = PARTS[part][0]
    named = description["parts"].get(role, {}).get("files", [])
    files = [directory / name for name in named if name.endswith(".safetensors")]
    if not files:
        other = "give Gemma's directory as text_encoder" if role == "weights" else "give LTX-2's directory"
        raise StageError(f"the model '{description['name']}' has no {part} (files of the role '{role}'); {other}")
    for path in files:
        if not path.is_file():
            raise StageError(f"the model lacks {path.name}, its {part}; fetch or build it again")
    return files


def token_count(shape: Sequence[int]) -> int:
    """Return the transformer's video tokens of latents [128, frames, height, width]; a patch is 1x1x1."""
    return shape[1] * shape[2] * shape[3]
