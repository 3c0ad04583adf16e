"""Tensor files whose bytes depend on nothing but the tensors and the metadata.

The safetensors library writes the metadata of its header in hash order, which differs from run to run; this writer
sorts it. Reading stays the library's.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from reelgraph.errors import StageError

TYPE_NAMES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.int64: "I64"}


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file with names and metadata in sorted order; tensors may lie on any device."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for name in sorted(tensors):
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": TYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    # The format wants the data at a multiple of eight bytes; spaces after the JSON are allowed for that.
    text += b" " * (-len(text) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            stream.write(tensors[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file on the CPU; raise a StageError that names a file that is none."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise StageError(f"{path.name}: is not a complete safetensors file ({error}); rebuild it") from error
