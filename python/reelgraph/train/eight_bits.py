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


@dataclass(frozen=True)
class EightBits:
    """A matrix [outer, inner] in the left columns of ``numbers``, with ``scale`` [1, outer]; a LoRA in the right ones.

    The LoRA's ``room`` channels are there three times: coarse numbers, what they left over, coarse ones again.
    """

    numbers: Tensor
    scale: Tensor
    room: int

    def times(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return ``x`` [tokens, inner + room] times the transposed matrix and LoRA, plus ``bias``."""
        small, row_scale = quantise(x, self.room)
        return torch._scaled_mm(
            small, self.numbers.T, row_scale, self.scale, bias=bias, out_dtype=x.dtype, use_fast_accum=True
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


def quantise(x: Tensor, room: int) -> tuple[Tensor, Tensor]:
    """Return ``x`` [rows, inner + room] in eight bits, [rows, inner + 3 room], and each row's scale [rows, 1] float32.

    The last ``room`` columns become three times as many, as the LoRA's are split.
    """
    rows, inner = x.shape[0], x.shape[1] - room
    out = torch.empty((rows, inner + 3 * room), device=x.device, dtype=NUMBERS)
    scale = torch.empty((rows, 1), device=x.device, dtype=torch.float32)
    block = triton.next_power_of_2(inner)
    _quantise[(rows,)](
        x, out, scale, x.stride(0), LARGEST, inner, block, room, triton.next_power_of_2(room),
        num_warps=min(16, max(4, block // 1024)),
    )  # fmt: skip
    return out, scale


@triton.jit
def _quantise(
    x, out, scale, pitch, largest, inner: tl.constexpr, block: tl.constexpr, room: tl.constexpr,
    room_block: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column, beside = tl.arange(0, block), tl.arange(0, room_block)
    inside = column < inner
    values = tl.load(x + row * pitch + column, inside, 0.0).to(tl.float32)
    lora = tl.load(x + row * pitch + inner + beside, beside < room, 0.0).to(tl.float32)
    # A row of zeros keeps a scale that it can be divided by.
    peak = tl.maximum(tl.max(tl.abs(values), 0), tl.max(tl.abs(lora), 0))
    peak = tl.maximum(peak, 1e-30)
    tl.store(scale + row, peak / largest)
    factor = largest / peak
    out += row * (inner + 3 * room)
    tl.store(out + column, tl.clamp(values * factor, -largest, largest).to(tl.float8e4nv), inside)
    lora = tl.clamp(lora * factor, -largest, largest)
    coarse = lora.to(tl.float8e4nv)
    fine = (lora - coarse.to(tl.float32)).to(tl.float8e4nv)
    # Against coarse, fine and coarse numbers of the LoRA.
    tl.store(out + inner + beside, coarse, beside < room)
    tl.store(out + inner + room + beside, coarse, beside < room)
    tl.store(out + inner + 2 * room + beside, fine, beside < room)
