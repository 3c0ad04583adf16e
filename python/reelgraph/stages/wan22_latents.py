"""Encode the clips of one episode with the model's video autoencoder, once, one small file a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.encode import encode_condition, encode_video
from reelgraph.train.model import describe_model
from reelgraph.train.strict import compute_strictly
from reelgraph.train.tensors import write_tensors
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
    (out / "latents").mkdir()
    rows: list[dict[str, Any]] = []
    for clip in track(clips, "wan22-latents", len(clips), "clip"):
        frames = read_frames(inputs.clips / clip["file"], clip["frames"])
        latents = encode_video(pipe, frames)
        tensors = {"latents": latents, **({"condition": encode_condition(pipe, frames)} if conditioned else {})}
        if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
            raise StageError(f"clip '{clip['id']}': its latents are not finite; encode with dtype float32")
        file = f"latents/{clip['id']}.safetensors"
        write_tensors(out / file, tensors)
        rows.append({"clip": clip["id"], "file": file, "shape": list(latents.shape)})
    write_json(out / "latents.json", {"latents": rows, "dtype": parameters.dtype})


STAGE = Stage(name="wan22-latents", inputs=Inputs, parameters=Parameters, outputs={"latents.json": "latents"}, run=run)

if __name__ == "__main__":
    STAGE.main()
