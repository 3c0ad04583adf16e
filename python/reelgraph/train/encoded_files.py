"""What was encoded once, whatever the model: one small file a clip or prompt, and an index of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.progress import track
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.tensors import write_tensors

Row = dict[str, Any]
# Encodes an entry of an index to named tensors.
Encode = Callable[[Row], Mapping[str, torch.Tensor]]


def write_clips(stage: str, entries: Sequence[Row], name: str, encode: Encode, out: Path, folder: str) -> list[Row]:
    """Write ``<folder>/<clip>.safetensors`` for each entry, whose clip is under ``name``; return their rows.

    A row's ``shape`` is that of the tensor ``latents``.
    """
    (out / folder).mkdir()
    rows = []
    for entry in track(entries, stage, len(entries), "clip"):
        clip, tensors = entry[name], encode(entry)
        file = write_finite(f"clip '{clip}': its latents are", tensors, out, f"{folder}/{clip}")
        rows.append({"clip": clip, "file": file, "shape": list(tensors["latents"].shape)})
    return rows


def write_prompts(
    stage: str, prompts: Sequence[str], key: str, encode: Callable[[str], torch.Tensor], out: Path
) -> list[Row]:
    """Write ``text/<sha256 of the prompt>.safetensors`` with one tensor [tokens, channels] each; return their rows."""
    (out / "text").mkdir()
    rows = []
    for prompt in track(prompts, stage, len(prompts), "prompt"):
        tensor = encode(prompt)
        what = f"prompt '{prompt[:60]}': its embedding is"
        file = write_finite(what, {key: tensor}, out, f"text/{prompt_hash(prompt)}")
        rows.append({"prompt": prompt, "file": file, "tokens": tensor.shape[0]})
    return rows


def write_finite(what: str, tensors: Mapping[str, torch.Tensor], out: Path, name: str) -> str:
    """Write tensors to ``name``.safetensors and return that; raise a StageError unless all numbers are finite."""
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise StageError(f"{what} not finite; encode with dtype float32")
    file = f"{name}.safetensors"
    write_tensors(out / file, tensors)
    return file


def distinct_prompts(captions: Sequence[Row], make_prompt: Callable[[str, str], str]) -> list[str]:
    """Return the distinct prompts, sorted; raise a StageError naming a clip whose caption is empty.

    ``make_prompt`` is given a caption's text and how messages call its clip.
    """
    for caption in captions:
        if not caption["text"].strip():
            raise StageError(f"caption for clip '{caption['clip']}' is empty; write one or reject the clip")
    return sorted({make_prompt(caption["text"], f"clip '{caption['clip']}'") for caption in captions})
