"""Encode the captions of one episode with LTX-2's text encoder, once, one small file a distinct prompt.

What is kept is what the connectors make the context of, without padding: a tenth of the context's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_encode import encode_features
from reelgraph.train.ltx_model import TEXT_LENGTH
from reelgraph.train.ltx_prompts import ltx_prompt
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.strict import compute_strictly
from reelgraph.train.tensors import write_tensors


@dataclass(frozen=True)
class Inputs:
    """The reviewed captions of one episode, the model, and Gemma where the model does not hold it."""

    captions: Path
    model: Path
    text_encoder: Path | None


@dataclass(frozen=True)
class Parameters:
    """The dataset's trigger word; where and how exactly to compute."""

    trigger: str
    device: str
    dtype: str


def prompts_of(captions: list[dict[str, Any]], trigger: str) -> list[str]:
    """Return the distinct prompts, sorted; raise a StageError naming a clip whose caption will not do."""
    for caption in captions:
        if not caption["text"].strip():
            raise StageError(f"caption for clip '{caption['clip']}' is empty; write one or reject the clip")
    return sorted({ltx_prompt(caption["text"], trigger, f"clip '{caption['clip']}'") for caption in captions})


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write ``text/<sha256 of the prompt>.safetensors`` (key ``features``) and text.json."""
    compute_strictly()
    prompts = prompts_of(read_json(inputs.captions / "captions.json")["captions"], parameters.trigger)
    parts = ["text_encoder", "connectors"]
    pipe = load_ltx(inputs.model, parts, parameters.device, parameters.dtype, inputs.text_encoder)
    (out / "text").mkdir()
    rows: list[dict[str, Any]] = []
    for prompt in track(prompts, "ltx2-text", len(prompts), "prompt"):
        features = encode_features(pipe, prompt)
        if not torch.isfinite(features).all():
            raise StageError(f"prompt '{prompt[:60]}': its features are not finite; encode with dtype float32")
        file = f"text/{prompt_hash(prompt)}.safetensors"
        write_tensors(out / file, {"features": features})
        rows.append({"prompt": prompt, "file": file, "tokens": features.shape[0]})
    write_json(out / "text.json", {"prompts": rows, "dtype": parameters.dtype, "padded_tokens": TEXT_LENGTH})


STAGE = Stage(name="ltx2-text", inputs=Inputs, parameters=Parameters, outputs={"text.json": "ltx2-text"}, run=run)

if __name__ == "__main__":
    STAGE.main()
