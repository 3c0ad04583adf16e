"""Compiles the kernels of a full-size Wan block for Hopper without a GPU; prints target and narrow accesses of each."""

from __future__ import annotations

import json
import re
from typing import Any

import triton
from triton import language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from reelgraph.train import eight_bits, lora_kernels, norm_kernels, pointwise_kernels, rotation_kernels

ROW = {"width": 3072, "block": 4096}
KERNELS = {
    norm_kernels._normalise: {**ROW, "has_branch": True, "has_gate": True},
    norm_kernels._normalise_backward: {**ROW, "has_gate": True, "has_residual": True},
    rotation_kernels._rotate: {**ROW, "half": 64, "rotated": True},
    rotation_kernels._rotate_backward: {**ROW, "half": 64, "rotated": True},
    pointwise_kernels._gelu: {"block": pointwise_kernels.COLUMNS, "backward": True},
    pointwise_kernels._gated: {"block": pointwise_kernels.COLUMNS, "has_x": True},
    eight_bits._quantise: {"inner": 14336, "block": 16384, "room": 16, "room_block": 16},
}
COPY = {"columns": 8, "rank": 16, "rank_block": 16, "block": lora_kernels.BLOCK // 16, "step": 16}
COPY |= {"eight": True, "dtype": tl.bfloat16}
COPIES = {"_copy of A": {**COPY, "is_a": True}, "_copy of B": {**COPY, "is_a": False}}
FLOAT = {"epsilon": "fp32", "largest": "fp32"}
OWN = {(eight_bits._quantise, "out"): "*fp8e4nv", (lora_kernels._copy, "table"): "*i64"}
FLOAT32 = {"gate", "scale", "shift", "mean", "deviation", "cosine", "sine"}
BFLOAT16 = {"x", "branch", "total", "out", "gradient", "residual", "weight"}


def compiled(kernel: Any, constants: dict[str, Any]) -> str:
    """Return the kernel's PTX, for rows and memory that begin at multiples of 16 bytes."""
    names, types, aligned = kernel.arg_names, {}, {}
    for index, name in enumerate(names):
        pointer = "*fp32" if name in FLOAT32 else "*bf16" if name in BFLOAT16 else None
        pointer = OWN.get((kernel, name), pointer)
        types[name] = "constexpr" if name in constants else pointer or FLOAT.get(name, "i32")
        if pointer or name.endswith("pitch") or name == "width":
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
