"""Frozen weights in eight bits, for the profile ``fast``: products of float8 numbers take about half the time.

Weights are rounded once, with a scale for each channel that a product makes; what they are multiplied with is rounded
each time, with a scale for each token. The LoRA's part of the same product is more exact: each of its numbers is the
sum of a float8 number and of another one for what that left over, and three of the four products of two such sums are
made, in three times the LoRA's channels; the fourth is less than bfloat16 can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

Tensor = torch.Tensor
NUMBERS = torch.float8_e4m3fn
LARGEST = torch.finfo(NUMBERS).max
# How large a LoRA's numbers may be, in largest weights of their channel or sixteenths of the matrix's; they are cut at
# twice that. More would cost the smallest of them digits.
HEADROOM = 2
# How many times larger than all else in its row what a LoRA is multiplied with may be before it sets the row's scale.
SPARE = 4.0
# What one program rounds at once.
ROWS, COLUMNS = 32, 128


@dataclass(frozen=True)
class EightBits:
    """A matrix [outer, inner] in the left columns of ``numbers``, with ``scale`` [1, outer]; a LoRA in the right ones.

    The LoRA's ``room`` channels are there three times: coarse numbers, what they left over, coarse ones again.
    """

    numbers: Tensor
    scale: Tensor
    room: int

    def times(self, small: Tensor, row_scale: Tensor, dtype: torch.dtype, bias: Tensor | None = None) -> Tensor:
        """Return what `quantise` returned times the transposed matrix and LoRA, plus ``bias``."""
        return torch._scaled_mm(
            small, self.numbers.T, row_scale, self.scale, bias=bias, out_dtype=dtype, use_fast_accum=True
        )


def multiplies_eight_bits(device: torch.device) -> bool:
    """Return whether ``device`` multiplies float8 numbers with a scale for each row and each column."""
    numbers, scale = torch.ones((128, 128), device=device).to(NUMBERS), torch.ones((128, 1), device=device)
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
    numbers = torch.zeros((outer, inner + 3 * room), device=weight.device, dtype=NUMBERS)
    numbers[:, :inner].copy_((weight.float() / scale).to(NUMBERS))
    return EightBits(numbers, scale.T.contiguous(), room)


def quantise(x: Tensor, down: Tensor, peaks: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Fill the room of ``x`` [rows, inner + room] with its other columns times ``down`` [inner, room].

    Returns all of it in eight bits, [rows, inner + 3 room], the room three times as the LoRA's numbers are split; and
    each row's scale [rows, 1] float32. ``peaks`` [parts, rows] float32, if known, are the largest magnitudes in parts
    of each row; to find them, ``x`` is read twice.
    """
    rows, (inner, room) = x.shape[0], down.shape
    out = torch.empty((rows, inner + 3 * room), device=x.device, dtype=NUMBERS)
    scale = torch.empty((rows, 1), device=x.device, dtype=torch.float32)
    _quantise[(triton.cdiv(rows, ROWS),)](
        x.data, down, x if peaks is None else peaks, out, scale, x.stride(0), *down.stride(), LARGEST, SPARE, rows,
        0 if peaks is None else len(peaks), inner, room, max(16, triton.next_power_of_2(room)), ROWS, COLUMNS,
        peaks is not None, num_warps=4,
    )  # fmt: skip
    return out, scale


@triton.jit
def _scaled(values, factor, largest):
    return tl.clamp(values * factor[:, None], -largest, largest)


@triton.jit
def _quantise(
    x, down, peaks, out, scale, pitch, down_pitch, room_pitch, largest, spare, rows, parts, inner: tl.constexpr,
    room: tl.constexpr, room_block: tl.constexpr, row_block: tl.constexpr, block: tl.constexpr, known: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * row_block + tl.arange(0, row_block)
    there, wide_row = row < rows, row.to(tl.int64)[:, None]
    beside = tl.arange(0, room_block)[None, :]
    source, place = x + wide_row * pitch, out + wide_row * (inner + 3 * room)
    peak, result = tl.zeros((row_block,), tl.float32), tl.zeros((row_block, room_block), tl.float32)
    if known:
        for part in range(parts):
            peak = tl.maximum(peak, tl.load(peaks + part * rows + row, there, 0.0))
    # A row of zeros keeps a scale that it can be divided by.
    factor = largest / tl.maximum(peak * spare, 1e-30)
    for start in range(0, inner, block):
        column = start + tl.arange(0, block)
        inside = there[:, None] & (column < inner)[None, :]
        values = tl.load(source + column[None, :], inside, 0.0)
        narrow = (column < inner)[:, None] & (beside < room)
        weights = tl.load(down + column[:, None] * down_pitch + beside * room_pitch, narrow, 0.0)
        result = tl.dot(values, weights, result)
        if known:
            small = _scaled(values.to(tl.float32), factor, largest).to(out.dtype.element_ty)
            tl.store(place + column[None, :], small, inside)
        else:
            peak = tl.maximum(peak, tl.max(tl.abs(values.to(tl.float32)), 1))
    in_room = there[:, None] & (beside < room)
    lora = result.to(x.dtype.element_ty)
    tl.store(source + inner + beside, lora, in_room)
    lora = lora.to(tl.float32)
    # The LoRA's numbers may be larger than all others by as much as is to spare; where they are not, little is lost.
    high = tl.max(tl.abs(lora), 1)
    needed = tl.maximum(tl.maximum(peak * spare, high), 1e-30)
    factor = largest / needed
    tl.store(scale + row, needed / largest, there)
    again = True
    if known:
        again = tl.max((high > peak * spare).to(tl.int32), 0) > 0
    if again:
        for start in range(0, inner, block):
            column = start + tl.arange(0, block)
            inside = there[:, None] & (column < inner)[None, :]
            values = tl.load(source + column[None, :], inside, 0.0).to(tl.float32)
            tl.store(place + column[None, :], _scaled(values, factor, largest).to(out.dtype.element_ty), inside)
    lora = _scaled(lora, factor, largest)
    coarse = lora.to(out.dtype.element_ty)
    fine = (lora - coarse.to(tl.float32)).to(out.dtype.element_ty)
    # Against coarse, fine and coarse numbers of the LoRA.
    tl.store(place + inner + beside, coarse, in_room)
    tl.store(place + inner + room + beside, coarse, in_room)
    tl.store(place + inner + 2 * room + beside, fine, in_room)
