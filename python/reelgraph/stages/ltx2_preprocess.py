"""Write the encoded dataset in the layout of LTX-2's own trainer: `.precomputed` with a .pt file a clip and folder.

`data.preprocessed_data_root` of its configuration is the folder `.precomputed`. That trainer skips a clip that one
folder lacks with a line in its log; here that is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.files import read_json, write_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.ltx_dataset import EncodedSet, join_encoded
from reelgraph.train.ltx_padding import padded, padding_mask
from reelgraph.train.planning import encoded_clips
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.tensors import read_tensors

ROOT = ".precomputed"


@dataclass(frozen=True)
class Inputs(EncodedSet):
    """A set that was encoded."""


@dataclass(frozen=True)
class Parameters:
    """None: everything was decided before."""


def video_file(path: Path, fps: float) -> dict[str, Any]:
    """Return what `latents/` holds of a clip."""
    latents = read_tensors(path)["latents"].contiguous()
    _, frames, height, width = latents.shape
    return {"latents": latents, "num_frames": frames, "height": height, "width": width, "fps": float(fps)}


def sound_file(path: Path, seconds: float) -> dict[str, Any]:
    """Return what `audio_latents/` holds of a clip."""
    latents = read_tensors(path)["latents"].contiguous()
    _, steps, bins = latents.shape
    return {"latents": latents, "num_time_steps": steps, "frequency_bins": bins, "duration": float(seconds)}


def text_file(path: Path) -> dict[str, Any]:
    """Return what `conditions/` holds of a clip: features before the connectors, the same for video and sound."""
    features = read_tensors(path)["features"]
    embeddings = padded(features).contiguous()
    return {
        "video_prompt_embeds": embeddings,
        "audio_prompt_embeds": embeddings.clone(),
        "prompt_attention_mask": padding_mask(features.shape[0]),
    }


def save(value: Mapping[str, Any], path: Path) -> None:
    """Write a .pt file, which torch loads with ``weights_only=True``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(value), path)


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write .precomputed/{latents,conditions,audio_latents}/<clip's path>.pt and preprocess.json."""
    rows = read_json(inputs.package / "metadata.json")
    join_encoded(rows, inputs)
    sounds = encoded_clips(inputs.sound, "sound")
    fps = {episode: read_json(path / "latents.json")["fps"] for episode, path in inputs.latents.items()}
    for row in track(rows, "ltx2-preprocess", len(rows), "clip"):
        episode, clip = row["episode"], f"{row['clip']}.safetensors"
        name = Path(row["video"]).with_suffix(".pt")
        save(video_file(inputs.latents[episode] / "latents" / clip, fps[episode]), out / ROOT / "latents" / name)
        text = inputs.text[episode] / "text" / f"{prompt_hash(row['prompt'])}.safetensors"
        save(text_file(text), out / ROOT / "conditions" / name)
        if inputs.sound:
            seconds = sounds[(episode, row["clip"])]["seconds"]
            save(sound_file(inputs.sound[episode] / "sound" / clip, seconds), out / ROOT / "audio_latents" / name)
    dataset = read_json(inputs.package / "dataset.json")
    write_json(
        out / "preprocess.json",
        {
            "samples": len(rows),
            "folders": ["latents", "conditions", *(["audio_latents"] if inputs.sound else [])],
            "package": dataset["hash"],
            "resolution_buckets": dataset["resolution_buckets"],
        },
    )


OUTPUTS = {"preprocess.json": "ltx2-preprocess"}
STAGE = Stage(name="ltx2-preprocess", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
