"""Encode the captions of one episode with LTX-2's text encoder, once, one small file a distinct prompt.

What is kept is what the connectors make the context of, without padding: a tenth of the context's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage
from reelgraph.train.encoded_files import distinct_prompts, write_prompts
from reelgraph.train.ltx import load_ltx
from reelgraph.train.ltx_encode import encode_features
from reelgraph.train.ltx_model import TEXT_LENGTH
from reelgraph.train.ltx_prompts import ltx_prompt
from reelgraph.train.strict import compute_strictly


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


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write ``text/<sha256 of the prompt>.safetensors`` (key ``features``) and text.json."""
    compute_strictly()
    captions = read_json(inputs.captions / "captions.json")["captions"]
    prompts = distinct_prompts(captions, lambda text, name: ltx_prompt(text, parameters.trigger, name))
    parts = ["text_encoder", "connectors"]
    pipe = load_ltx(inputs.model, parts, parameters.device, parameters.dtype, inputs.text_encoder)
    rows = write_prompts(STAGE.name, prompts, "features", lambda prompt: encode_features(pipe, prompt), out)
    write_json(out / "text.json", {"prompts": rows, "dtype": parameters.dtype, "padded_tokens": TEXT_LENGTH})


STAGE = Stage(name="ltx2-text", inputs=Inputs, parameters=Parameters, outputs={"text.json": "ltx2-text"}, run=run)

if __name__ == "__main__":
    STAGE.main()
