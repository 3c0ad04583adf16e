"""Compiles the kernels of a full-size Wan block for Hopper without a GPU; prints target and narrow accesses of each."""

from __future__ import annotations

import json
import re
from typing import Any

import triton
from triton import language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from reelgraph.train import (
    eight_bits,
    lora_kernels,
    norm_kernels,
    pointwise_kernels,
    rotation_kernels,
    text_attention,
)

ROW = {"width": 3072, "block": 4096}
STORED = {**ROW, "eight": True}
TEXT = {"width": 128, "block": 128, "row_block": text_attention.ROWS, "key_block": text_attention.KEYS}
KERNELS = {
    norm_kernels._normalise: {**STORED, "has_branch": True, "has_gate": True},
    norm_kernels._normalise_backward: {**STORED, "has_gate": True, "has_residual": True},
    rotation_kernels._rotate: {**ROW, "half": 64, "rotated": True},
    rotation_kernels._rotate_backward: STORED,
    rotation_kernels._three_backward: {**STORED, "half": 64},
    pointwise_kernels._gelu: {**STORED, "width": 14336, "block": 16384, "backward": True},
    pointwise_kernels._gated: {**STORED, "has_x": True},
    eight_bits._round_rows: ROW,
    eight_bits._split: {"room": 16, "room_block": 16, "row_block": eight_bits.ROWS},
    text_attention._attend: TEXT,
    text_attention._attend_backward: TEXT,
    text_attention._attend_backward_text: TEXT,
}
COPY = {"columns": 8, "rank": 16, "rank_block": 16, "block": lora_kernels.BLOCK // 16, "step": 16}
COPY |= {"eight": True, "dtype": tl.bfloat16}
COPIES = {"_copy of A": {**COPY, "is_a": True}, "_copy of B": {**COPY, "is_a": False}}
FLOAT = {"epsilon": "fp32", "largest": "fp32", "spare": "fp32", "share": "fp32"}
OWN = {(lora_kernels._copy, "table"): "*i64"}
OWN |= {(kernel, "scale"): "fp32" for kernel in KERNELS if kernel.__name__.startswith("_attend")}
FLOAT32 = {"gate", "scale", "shift", "mean", "deviation", "query_deviation", "key_deviation", "cosine", "sine", "bias"}
FLOAT32 |= {"small_scale", "sums", "products", "key_sides", "value_sides"}
BFLOAT16 = {"x", "branch", "total", "out", "gradient", "residual", "weight", "query", "key", "value", "below", "wide"}
BFLOAT16 |= {"made", "query_weight", "key_weight"}
POINTERS = {
    **dict.fromkeys(FLOAT32, "*fp32"),
    **dict.fromkeys(BFLOAT16, "*bf16"),
    "small": "*fp8e4nv",
}


def compiled(kernel: Any, constants: dict[str, Any]) -> str:
    """Return the kernel's PTX, for rows and memory that begin at multiples of 16 bytes."""
    names, types, aligned = kernel.arg_names, {}, {}
    for index, name in enumerate(names):
        pointer = OWN.get((kernel, name), POINTERS.get(name))
        types[name] = "constexpr" if name in constants else pointer or FLOAT.get(name, "i32")
        if pointer or name.endswith("pitch") or name in ("width", "columns"):
            aligned[(index,)] = [["tt.divisibility", 16]]
    values = {(names.index(name),): value for name, value in constants.items()}
    aligned = {index: attributes for index, attributes in aligned.items() if index not in values}
    source = ASTSource(fn=kernel, signature=types, constexprs=values, attrs=aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]


def narrow(ptx: str) -> int:
    """Return how many loads and stores move less than 16 bytes, but for a row's one float32."""
    accesses = re.findall(r"(?:ld|st)\.global\S*", ptx)
    return sum(".v4." not in access and not access.endswith(".b32") for access in accesses)


if __name__ == "__main__":
    found = {}
    named = [(kernel.__name__, kernel, constants) for kernel, constants in KERNELS.items()]
    for name, kernel, constants in named + [(name, lora_kernels._copy, copy) for name, copy in COPIES.items()]:
        ptx = compiled(kernel, constants)
        found[name] = (re.findall(r"\.target (\w+)", ptx)[0], narrow(ptx))
    print(json.dumps(found))
