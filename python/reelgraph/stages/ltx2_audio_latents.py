"""Encode the sound of one episode's clips with LTX-2's audio autoencoder, once, one small file a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.files import read_json, write_json
from reelgraph.media.sound import read_flac
from reelgraph.stage import Stage
from reelgraph.train.encoded_files import write_clips
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_encode import encode_sound
from reelgraph.train.strict import compute_strictly


@dataclass(frozen=True)
class Inputs:
    """The sound of one episode's clips, and the model."""

    sound: Path
    model: Path


@dataclass(frozen=True)
class Parameters:
    """Where and how exactly to compute; LTX-2's own preprocessing takes float32 here."""

    device: str
    dtype: str


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write ``sound/<clip>.safetensors`` (key ``latents``) and sound.json."""
    compute_strictly()
    index = read_json(inputs.sound / "sound.json")
    pipe = load_ltx(inputs.model, ["audio_encoder"], parameters.device, parameters.dtype)
    seconds: dict[str, float] = {}

    def encode(clip: dict[str, Any]) -> dict[str, torch.Tensor]:
        samples, rate = read_flac(inputs.sound / clip["file"], clip["samples"])
        seconds[clip["clip"]] = round(clip["samples"] / rate, 6)
        return {"latents": encode_sound(pipe, torch.from_numpy(samples.copy()).float() / 32768, rate)}

    rows = write_clips(STAGE.name, index["sound"], "clip", encode, out, "sound")
    rows = [{**row, "seconds": seconds[row["clip"]]} for row in rows]
    write_json(out / "sound.json", {"sound": rows, "dtype": parameters.dtype})


OUTPUTS = {"sound.json": "ltx2-sound"}
STAGE = Stage(name="ltx2-audio-latents", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
