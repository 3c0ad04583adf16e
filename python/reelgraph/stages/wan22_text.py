"""Encode the captions of one episode with the model's text encoder, once, one small file a distinct prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.train.encode import encode_prompt
from reelgraph.train.prompts import prompt_hash, prompt_of
from reelgraph.train.strict import compute_strictly
from reelgraph.train.tensors import write_tensors
from reelgraph.train.wan import load_pipeline


@dataclass(frozen=True)
class Inputs:
    """The reviewed captions of one episode, and the model."""

    captions: Path
    model: Path


@dataclass(frozen=True)
class Parameters:
    """The dataset's trigger word; where and how exactly to compute."""

    trigger: str
    device: str
    dtype: str


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write ``text/<sha256 of the prompt>.safetensors`` (key ``context``) and text.json."""
    compute_strictly()
    captions = read_json(inputs.captions / "captions.json")["captions"]
    for caption in captions:
        if not caption["text"].strip():
            raise StageError(f"caption for clip '{caption['clip']}' is empty; write one or reject the clip")
    prompts = sorted({prompt_of(caption["text"], parameters.trigger) for caption in captions})
    pipe = load_pipeline(inputs.model, ["text_encoder"], parameters.device, parameters.dtype)
    (out / "text").mkdir()
    rows: list[dict[str, Any]] = []
    for prompt in track(prompts, "wan22-text", len(prompts), "prompt"):
        context = encode_prompt(pipe, prompt)
        if not torch.isfinite(context).all():
            raise StageError(f"prompt '{prompt[:60]}': its embedding is not finite; encode with dtype float32")
        file = f"text/{prompt_hash(prompt)}.safetensors"
        write_tensors(out / file, {"context": context})
        rows.append({"prompt": prompt, "file": file, "tokens": context.shape[0]})
    write_json(out / "text.json", {"prompts": rows, "dtype": parameters.dtype, "padded_tokens": pipe.tokenizer.seq_len})


STAGE = Stage(name="wan22-text", inputs=Inputs, parameters=Parameters, outputs={"text.json": "text"}, run=run)

if __name__ == "__main__":
    STAGE.main()
