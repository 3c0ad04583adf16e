"""Encode the captions of one episode with the model's text encoder, once, one small file a distinct prompt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage
from reelgraph.train.encode import encode_prompt
from reelgraph.train.encoded_files import distinct_prompts, write_prompts
from reelgraph.train.prompts import prompt_of
from reelgraph.train.strict import compute_strictly
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
    prompts = distinct_prompts(captions, lambda text, _: prompt_of(text, parameters.trigger))
    pipe = load_pipeline(inputs.model, ["text_encoder"], parameters.device, parameters.dtype)
    rows = write_prompts(STAGE.name, prompts, "context", lambda prompt: encode_prompt(pipe, prompt), out)
    write_json(out / "text.json", {"prompts": rows, "dtype": parameters.dtype, "padded_tokens": pipe.tokenizer.seq_len})


STAGE = Stage(name="wan22-text", inputs=Inputs, parameters=Parameters, outputs={"text.json": "text"}, run=run)

if __name__ == "__main__":
    STAGE.main()
