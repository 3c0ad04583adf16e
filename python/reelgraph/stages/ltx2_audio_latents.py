"""Encode the sound of one episode's clips with LTX-2's audio autoencoder, once, one small file a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.media.sound import read_flac
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_encode import encode_sound
from reelgraph.train.strict import compute_strictly
from reelgraph.train.tensors import write_tensors


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
    (out / "sound").mkdir()
    rows: list[dict[str, Any]] = []
    for clip in track(index["sound"], "ltx2-audio-latents", len(index["sound"]), "clip"):
        samples, rate = read_flac(inputs.sound / clip["file"], clip["samples"])
        latents = encode_sound(pipe, torch.from_numpy(samples.copy()).float() / 32768, rate)
        if not torch.isfinite(latents).all():
            raise StageError(f"clip '{clip['clip']}': its sound's latents are not finite; encode with dtype float32")
        file = f"sound/{clip['clip']}.safetensors"
        write_tensors(out / file, {"latents": latents})
        seconds = round(clip["samples"] / rate, 6)
        rows.append({"clip": clip["clip"], "file": file, "shape": list(latents.shape), "seconds": seconds})
    write_json(out / "sound.json", {"sound": rows, "dtype": parameters.dtype})


OUTPUTS = {"sound.json": "ltx2-sound"}
STAGE = Stage(name="ltx2-audio-latents", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
