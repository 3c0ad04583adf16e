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
from reelgraph.train.encode import encode_video
from reelgraph.train.tensors import write_tensors
from reelgraph.train.video import read_frames
from reelgraph.train.wan import compute_strictly, load_pipeline


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
    """Write ``latents/<clip>.safetensors`` (key ``latents``) and latents.json."""
    compute_strictly()
    clips = read_json(inputs.clips / "clips.json")["clips"]
    pipe = load_pipeline(inputs.model, ["vae"], parameters.device, parameters.dtype)
    (out / "latents").mkdir()
    rows: list[dict[str, Any]] = []
    for clip in track(clips, "wan22-latents", len(clips), "clip"):
        latents = encode_video(pipe, read_frames(inputs.clips / clip["file"], clip["frames"]))
        if not torch.isfinite(latents).all():
            raise StageError(f"clip '{clip['id']}': its latents are not finite; encode with dtype float32")
        file = f"latents/{clip['id']}.safetensors"
        write_tensors(out / file, {"latents": latents})
        rows.append({"clip": clip["id"], "file": file, "shape": list(latents.shape)})
    write_json(out / "latents.json", {"latents": rows, "dtype": parameters.dtype})


STAGE = Stage(name="wan22-latents", inputs=Inputs, parameters=Parameters, outputs={"latents.json": "latents"}, run=run)

if __name__ == "__main__":
    STAGE.main()
