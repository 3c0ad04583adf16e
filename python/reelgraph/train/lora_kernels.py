"""A LoRA's present weights put where the products need them: all layers by two kernels, see `products`, `eight_bits`.

Layer by layer these were some thousand copies of a few microseconds each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from reelgraph.train.eight_bits import EightBits
from reelgraph.train.lora import LoraLinear
from reelgraph.train.operands import LARGEST, two_terms
from reelgraph.train.products import Products

Tensor = torch.Tensor
# Numbers that one program copies.
BLOCK = 4096
NUMBER_TYPES = {torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


@dataclass(frozen=True)
class Copies:
    """Copies of LoRA weights that do not move: a row of ``tables`` is one of an A or of a B, see `_copy`.

    ``longest`` are the channels of the layer that has the most, and ``step`` divides all numbers in the tables.
    """

    tables: tuple[Tensor, Tensor]
    longest: tuple[int, int]
    rank: int
    step: int
    dtype: torch.dtype
    eight: bool

    def run(self) -> None:
        """Copy them as they are now."""
        rank_block = triton.next_power_of_2(self.rank)
        block = BLOCK // rank_block
        for is_a, table, longest in zip((True, False), self.tables, self.longest, strict=True):
            _copy[(len(table), triton.cdiv(longest, block))](
                table, LARGEST, table.shape[1], is_a, self.rank, rank_block, block, self.step, self.eight,
                NUMBER_TYPES[self.dtype],
            )  # fmt: skip


def plan_copies(groups: Sequence[Products]) -> Copies:
    """Return the copies of all LoRA weights of ``groups`` into their matrices, and into those of eight bits."""
    pairs = [_rows(products, *place) for products in groups for place in products.places()]
    (rank,) = {layer.lora_A.out_features for products in groups for layer in products.layers}
    matrix = groups[0].matrix
    both = tuple(zip(*pairs, strict=True))
    a, b = (torch.tensor(rows, dtype=torch.int64, device=matrix.device) for rows in both)
    longest = [max(row[1] for row in rows) for rows in both]
    step = math.gcd(16, *(number for pair in pairs for row in pair for number in row))
    return Copies((a, b), (longest[0], longest[1]), rank, step, matrix.dtype, groups[0].eight is not None)


def _rows(products: Products, layer: LoraLinear, outputs: slice, channels: slice) -> tuple[list[int], list[int]]:
    """Return a layer's rows of both tables: addresses, and how far a place's rows are apart."""
    a, b, inner, outer = layer.lora_A.weight, layer.lora_B.weight, products.inner, products.outer
    assert a.is_contiguous() and b.is_contiguous()
    pitch = products.matrix.stride(0)
    a_row = [a.data_ptr(), inner, products.matrix[outer:][channels].data_ptr(), pitch]
    b_row = [b.data_ptr(), b.shape[0], products.matrix[outputs, inner:][:, channels].data_ptr(), pitch]
    if products.eight is None:
        return a_row, b_row
    forward, backward = products.eight
    a_row += _beside(backward, slice(None), outer, channels)
    b_row += _beside(forward, outputs, inner, channels)
    return a_row, b_row


def _beside(matrix: EightBits, rows: slice, width: int, channels: slice) -> list[int]:
    place, scale = matrix.numbers[rows, width:][:, channels], matrix.lora_scale[:, rows]
    return [place.data_ptr(), place.stride(0), matrix.room, scale.data_ptr()]


@triton.jit
def _copy(
    table, largest, columns: tl.constexpr, is_a: tl.constexpr, rank: tl.constexpr, rank_block: tl.constexpr,
    block: tl.constexpr, step: tl.constexpr, eight: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    # A tile is of a layer's channels (rows) and the LoRA's. In A and its place in the matrix the former lie beside each
    # other, in B and every other place the latter: each access names its step of one, so that neighbours move together.
    entry = table + tl.program_id(0) * columns
    start = tl.program_id(1) * block
    size = tl.multiple_of(tl.load(entry + 1).to(tl.int32), step)
    if start >= size:
        return
    row, column = tl.arange(0, block)[:, None], tl.arange(0, rank_block)[None, :]
    inside = (start + row < size) & (column < rank)
    weight = tl.multiple_of(tl.load(entry).to(tl.pointer_type(tl.float32)), step)
    place = tl.multiple_of(tl.load(entry + 2).to(tl.pointer_type(dtype)), step)
    pitch = tl.multiple_of(tl.load(entry + 3).to(tl.int32), step)
    if is_a:
        values = tl.load(weight + start + (column * size + row), inside, 0.0)
        tl.store(place + start + (column * pitch + row), values, inside)
    else:
        values = tl.load(weight + start * rank + (row * rank + column), inside, 0.0)
        tl.store(place + start.to(tl.int64) * pitch + (row * pitch + column), values, inside)
    if eight:
        place = tl.multiple_of(tl.load(entry + 4).to(tl.pointer_type(tl.float8e4nv)), step)
        pitch = tl.multiple_of(tl.load(entry + 5).to(tl.int32), step)
        room = tl.multiple_of(tl.load(entry + 6).to(tl.int32), step)
        scale = tl.multiple_of(tl.load(entry + 7).to(tl.pointer_type(tl.float32)), step)
        scales = tl.load(scale + start + row, start + row < size, 1.0)
        coarse, fine = two_terms(values / scales, largest)
        place += start.to(tl.int64) * pitch + (row * pitch + column)
        tl.store(place, coarse, inside)
        tl.store(place + room, fine, inside)
        tl.store(place + 2 * room, coarse, inside)
