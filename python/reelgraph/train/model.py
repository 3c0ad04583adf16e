"""Which files a Wan2.2 model directory holds; nothing here loads them.

A directory made by this project says so in ``model.json``; one without it is read as a plain download of
Wan2.2-TI2V-5B.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reelgraph.files import read_json

TOKENIZER_DIRECTORY = "google/umt5-xxl"
TI2V_5B_FILES = {
    "dit": ["diffusion_pytorch_model*.safetensors"],
    "text_encoder": ["models_t5_umt5-xxl-enc-bf16.safetensors", "models_t5_umt5-xxl-enc-bf16.pth"],
    "vae": ["Wan2.2_VAE.safetensors", "Wan2.2_VAE.pth"],
}


def describe_model(directory: Path) -> dict[str, Any]:
    """Return ``model.json``, or the same for a plain download, where a part that is not there has no files."""
    if (directory / "model.json").is_file():
        return read_json(directory / "model.json")
    parts: dict[str, Any] = {}
    for part, patterns in TI2V_5B_FILES.items():
        found = next((files for pattern in patterns if (files := sorted(directory.glob(pattern)))), [])
        parts[part] = {"files": [file.name for file in found]}
    return {
        "name": "wan22-ti2v-5b",
        "architecture": "Wan2.2-TI2V-5B",
        "weights": "released",
        "parts": parts,
        "tokenizer": TOKENIZER_DIRECTORY,
    }
