"""A LoRA's present weights put where the products need them: all layers by one kernel, see `products`, `eight_bits`.

Layer by layer these were some thousand copies of a few microseconds each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from reelgraph.train.eight_bits import EightBits
from reelgraph.train.lora import LoraLinear
from reelgraph.train.operands import LARGEST
from reelgraph.train.products import Products

Tensor = torch.Tensor
# Numbers that one program copies.
BLOCK = 2048
NUMBER_TYPES = {torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


@dataclass(frozen=True)
class Copies:
    """Copies of LoRA weights that do not move: a row of ``table`` is an address, sizes and strides of one, see `_copy`.

    ``programs`` are those that the largest of them needs.
    """

    table: Tensor
    programs: int
    dtype: torch.dtype
    eight: bool

    def run(self) -> None:
        """Copy them as they are now."""
        _copy[(len(self.table), self.programs)](
            self.table, LARGEST, self.table.shape[1], self.eight, NUMBER_TYPES[self.dtype], BLOCK
        )


def plan_copies(groups: Sequence[Products]) -> Copies:
    """Return the copies of all LoRA weights of ``groups`` into their matrices, and into those of eight bits."""
    rows = [row for products in groups for place in products.places() for row in _rows(products, *place)]
    matrix = groups[0].matrix
    largest = max(row[1] for row in rows)
    table = torch.tensor(rows, dtype=torch.int64, device=matrix.device)
    return Copies(table, triton.cdiv(largest, BLOCK), matrix.dtype, groups[0].eight is not None)


def _rows(products: Products, layer: LoraLinear, outputs: slice, channels: slice) -> list[list[int]]:
    down, up, inner, outer = layer.lora_A.weight, layer.lora_B.weight, products.inner, products.outer
    rows = []
    for weight, place in (
        (down, products.matrix[outer:][channels, :inner]),
        (up, products.matrix[outputs, inner:][:, channels]),
    ):
        assert weight.is_contiguous()
        rows.append([weight.data_ptr(), weight.numel(), weight.shape[1], place.data_ptr(), place.stride(0)])
    if products.eight is None:
        return rows
    forward, backward = products.eight
    rows[0] += _beside(backward, backward.numbers[:, outer:].T[channels], backward.lora_scale.expand(products.room, -1))
    rows[1] += _beside(
        forward, forward.numbers[outputs, inner:][:, channels], forward.lora_scale.T[outputs].expand(-1, 2)
    )
    return rows


def _beside(matrix: EightBits, place: Tensor, scale: Tensor) -> list[int]:
    return [place.data_ptr(), *place.stride(), matrix.room, scale.data_ptr(), *scale.stride()]


@triton.jit
def _copy(
    table, largest, columns: tl.constexpr, eight: tl.constexpr, dtype: tl.constexpr, block: tl.constexpr
):  # fmt: skip
    entry = table + tl.program_id(0) * columns
    size, width = tl.load(entry + 1), tl.load(entry + 2)
    index = tl.program_id(1) * block + tl.arange(0, block).to(tl.int64)
    inside = index < size
    row, column = index // width, index % width
    values = tl.load(tl.load(entry).to(tl.pointer_type(tl.float32)) + index, inside, 0.0)
    place = tl.load(entry + 3).to(tl.pointer_type(dtype)) + row * tl.load(entry + 4) + column
    tl.store(place, values, inside)
    if eight:
        scale = tl.load(entry + 9).to(tl.pointer_type(tl.float32))
        scale += row * tl.load(entry + 10) + column * tl.load(entry + 11)
        values = tl.clamp(values / tl.load(scale, inside, 1.0), -largest, largest)
        coarse = values.to(tl.float8e4nv)
        fine = (values - coarse.to(tl.float32)).to(tl.float8e4nv)
        place = tl.load(entry + 5).to(tl.pointer_type(tl.float8e4nv))
        place += row * tl.load(entry + 6) + column * tl.load(entry + 7)
        room = tl.load(entry + 8)
        tl.store(place, coarse, inside)
        tl.store(place + room, fine, inside)
        tl.store(place + 2 * room, coarse, inside)
