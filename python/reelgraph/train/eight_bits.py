"""Frozen weights in eight bits, for the profile ``fast``: products of float8 numbers take about half the time.

Weights are rounded once, with a scale for each channel that a product makes; what they are multiplied with is rounded
each time, with a scale for each token, see `operands`. The LoRA's part of the same product is more exact: each of its
numbers is the sum of a float8 number and of another one for what that left over, and three of the four products of two
such sums are made, in three times the LoRA's channels; the fourth is less than bfloat16 can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

from reelgraph.train.operands import LARGEST, SMALL, SPARE, Operand, row_warps, store_small, two_terms

Tensor = torch.Tensor
# How large a LoRA's numbers may be beside the weights of their channel, as `operands.SPARE` says it of a row: with
# SHARE, twice the largest weight of the channel or an eighth of the matrix's.
HEADROOM = 8
# The LoRA's side of a row is stored this many times smaller, and that of the weights as many times larger, so that it
# may be 64 times as large as all else in its row. It is cut there; weights of a LoRA are far too small to reach it.
SHARE = 4.0
# Rows that one program splits.
ROWS = 64


@dataclass(frozen=True)
class EightBits:
    """A matrix [outer, inner] in the left columns of ``numbers``, with ``scale`` [1, outer]; a LoRA in the right ones.

    The LoRA's ``room`` channels are there three times, with ``lora_scale``: coarse numbers, what they left over, coarse
    ones again.
    """

    numbers: Tensor
    scale: Tensor
    lora_scale: Tensor
    room: int

    def times(self, x: Operand, bias: Tensor | None = None) -> Tensor:
        """Return ``x`` times the transposed matrix and LoRA, plus ``bias``; the room of ``x`` is filled."""
        split(x)
        return torch._scaled_mm(
            x.small, self.numbers.T, x.scale, self.scale, bias=bias, out_dtype=x.wide.dtype, use_fast_accum=True
        )


def multiplies_eight_bits(device: torch.device) -> bool:
    """Return whether ``device`` multiplies float8 numbers with a scale for each row and each column."""
    numbers, scale = torch.ones((128, 128), device=device).to(SMALL), torch.ones((128, 1), device=device)
    try:
        torch._scaled_mm(numbers, numbers.T, scale, scale.T, out_dtype=torch.bfloat16, use_fast_accum=True)
    except RuntimeError:
        return False
    return True


def eight_bits(weight: Tensor, room: int) -> EightBits:
    """Return ``weight`` [outer, inner] in eight bits, beside it ``room`` for a LoRA's channels."""
    outer, inner = weight.shape
    largest = weight.float().abs().amax(1, keepdim=True)
    scale = torch.maximum(largest, largest.max() / 16).clamp_min(1e-30) * HEADROOM / LARGEST
    numbers = torch.zeros((outer, inner + 3 * room), device=weight.device, dtype=SMALL)
    numbers[:, :inner].copy_((weight.float() / scale).to(SMALL))
    scale = scale.T.contiguous()
    return EightBits(numbers, scale, scale / SHARE, room)


def round_rows(x: Operand) -> None:
    """Write the numbers of ``x``, made elsewhere, in eight bits."""
    rows, block = len(x.wide), triton.next_power_of_2(x.columns)
    _round_rows[(rows,)](
        x.wide, x.small, x.scale, x.wide.stride(0), x.small.stride(0), LARGEST, SPARE, x.columns, block,
        num_warps=row_warps(block),
    )  # fmt: skip


def split(x: Operand) -> None:
    """Write the room of ``x`` as sums of two numbers of eight bits, with the scales that the rows have."""
    rows, room = len(x.wide), x.wide.shape[1] - x.columns
    _split[(triton.cdiv(rows, ROWS),)](
        x.wide, x.small, x.scale, x.wide.stride(0), x.small.stride(0), LARGEST, SHARE, rows, x.columns, room,
        triton.next_power_of_2(room), ROWS,
    )  # fmt: skip


@triton.jit
def _round_rows(x, small, scale, x_pitch, small_pitch, largest, spare, width: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    values = tl.load(x + row * x_pitch + column, inside, 0.0).to(tl.float32)
    store_small(values, tl.max(tl.abs(values), 0), row, column, inside, small, scale, small_pitch, largest, spare)


@triton.jit
def _split(
    x, small, scale, x_pitch, small_pitch, largest, share, rows, columns, room: tl.constexpr,
    room_block: tl.constexpr, row_block: tl.constexpr,
):  # fmt: skip
    row, column = tl.program_id(0) * row_block + tl.arange(0, row_block), tl.arange(0, room_block)
    inside, wide_row = (row < rows)[:, None] & (column < room)[None, :], row.to(tl.int64)[:, None]
    values = tl.load(x + wide_row * x_pitch + columns + column[None, :], inside, 0.0).to(tl.float32)
    values /= tl.load(scale + row, row < rows, 1.0)[:, None] * share
    coarse, fine = two_terms(values, largest)
    # Against coarse, fine and coarse numbers of the LoRA.
    place = small + wide_row * small_pitch + columns + column[None, :]
    tl.store(place, coarse, inside)
    tl.store(place + room, coarse, inside)
    tl.store(place + 2 * room, fine, inside)
