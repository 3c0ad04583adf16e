"""Encode the clips of one episode with the model's video autoencoder, once, one small file a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage
from reelgraph.train.encode import encode_condition, encode_video
from reelgraph.train.encoded_files import write_clips
from reelgraph.train.model import describe_model
from reelgraph.train.strict import compute_strictly
from reelgraph.train.video import read_frames
from reelgraph.train.wan import load_pipeline


@dataclass(frozen=True)
class Inputs:
    """The clips of one episode, and the model."""

    clips: Path
    model: Path


@dataclass(frozen=True)
class Parameters:
    """Where and how exactly to compute."""

    device: str
    dtype: str


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write ``latents/<clip>.safetensors`` (key ``latents``, for I2V-A14B also ``condition``) and latents.json."""
    compute_strictly()
    clips = read_json(inputs.clips / "clips.json")["clips"]
    pipe = load_pipeline(inputs.model, ["vae"], parameters.device, parameters.dtype)
    conditioned = describe_model(inputs.model)["architecture"] == "Wan2.2-I2V-A14B"

    def encode(clip: dict[str, Any]) -> dict[str, torch.Tensor]:
        frames = read_frames(inputs.clips / clip["file"], clip["frames"])
        latents = encode_video(pipe, frames)
        return {"latents": latents, **({"condition": encode_condition(pipe, frames)} if conditioned else {})}

    rows = write_clips(STAGE.name, clips, "id", encode, out, "latents")
    write_json(out / "latents.json", {"latents": rows, "dtype": parameters.dtype})


STAGE = Stage(name="wan22-latents", inputs=Inputs, parameters=Parameters, outputs={"latents.json": "latents"}, run=run)

if __name__ == "__main__":
    STAGE.main()
