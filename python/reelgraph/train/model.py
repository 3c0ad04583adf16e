"""Which files a Wan2.2 model directory holds; nothing here loads them.

A directory made by this project says so in ``model.json``; one without it is read as a plain download of
Wan2.2-TI2V-5B, or of an A14B model if it holds two experts.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from reelgraph.files import read_json

TOKENIZER_DIRECTORY = "google/umt5-xxl"
SHARDS = "diffusion_pytorch_model*.safetensors"
TEXT_ENCODER = ["models_t5_umt5-xxl-enc-bf16.safetensors", "models_t5_umt5-xxl-enc-bf16.pth"]
TI2V_5B_FILES = {
    "dit": [SHARDS],
    "text_encoder": TEXT_ENCODER,
    "vae": ["Wan2.2_VAE.safetensors", "Wan2.2_VAE.pth"],
}
A14B_FILES = {
    "dit_high_noise": [f"high_noise_model/{SHARDS}"],
    "dit_low_noise": [f"low_noise_model/{SHARDS}"],
    "text_encoder": TEXT_ENCODER,
    "vae": ["Wan2.1_VAE.safetensors", "Wan2.1_VAE.pth"],
}
EXPERTS = {"all": "dit", "high_noise": "dit_high_noise", "low_noise": "dit_low_noise"}
# Share of the 1000 training timesteps, from the noisiest, that the high-noise expert serves: down to t = 875 and 900.
EXPERT_BOUNDARY = {"Wan2.2-T2V-A14B": 0.417, "Wan2.2-I2V-A14B": 0.358}
I2V_INPUT_CHANNELS = 36


def transformer_part(expert: str) -> str:
    """Return the name of the model's part that an expert is; TI2V-5B has one for all noise levels."""
    return EXPERTS[expert]


def transformer_parts(description: dict[str, Any]) -> list[str]:
    """Return the transformers of a described model: one, or high noise before low."""
    return [part for part in EXPERTS.values() if part in description["parts"]]


def part_files(part: str) -> list[str]:
    """Return the file names, with ``*``, under which a plain download may hold a part."""
    return list(dict.fromkeys([*TI2V_5B_FILES.get(part, []), *A14B_FILES.get(part, [])]))


def describe_model(directory: Path) -> dict[str, Any]:
    """Return ``model.json``, or the same for a plain download, where a part that is not there has no files."""
    if (directory / "model.json").is_file():
        return read_json(directory / "model.json")
    two_experts = (directory / "high_noise_model").is_dir()
    architecture = "Wan2.2-TI2V-5B"
    if two_experts:
        shards = sorted((directory / "high_noise_model").glob(SHARDS))
        architecture = "Wan2.2-I2V-A14B" if _input_channels(shards) == I2V_INPUT_CHANNELS else "Wan2.2-T2V-A14B"
    parts: dict[str, Any] = {}
    for part, patterns in (A14B_FILES if two_experts else TI2V_5B_FILES).items():
        found = next((files for pattern in patterns if (files := sorted(directory.glob(pattern)))), [])
        parts[part] = {"files": [file.relative_to(directory).as_posix() for file in found]}
    return {
        "name": architecture.lower().replace("wan2.2", "wan22"),
        "architecture": architecture,
        "weights": "released",
        "parts": parts,
        "tokenizer": TOKENIZER_DIRECTORY,
    }


def _input_channels(shards: list[Path]) -> int | None:
    for shard in shards:
        with shard.open("rb") as stream:
            start = stream.read(8)
            header = json.loads(stream.read(struct.unpack("<Q", start)[0])) if len(start) == 8 else {}
        if "patch_embedding.weight" in header:
            return header["patch_embedding.weight"]["shape"][1]
    return None
