"""Encode the clips of one episode with LTX-2's video autoencoder, once, one small file a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage
from reelgraph.train.encoded_files import write_clips
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_encode import encode_video
from reelgraph.train.strict import compute_strictly
from reelgraph.train.video import read_frames


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
    index = read_json(inputs.clips / "clips.json")
    pipe = load_ltx(inputs.model, ["video_encoder"], parameters.device, parameters.dtype)

    def encode(clip: dict[str, Any]) -> dict[str, torch.Tensor]:
        return {"latents": encode_video(pipe, read_frames(inputs.clips / clip["file"], clip["frames"]))}

    rows = write_clips(STAGE.name, index["clips"], "id", encode, out, "latents")
    write_json(out / "latents.json", {"latents": rows, "dtype": parameters.dtype, "fps": index["fps"]})


OUTPUTS = {"latents.json": "ltx2-latents"}
STAGE = Stage(name="ltx2-video-latents", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
