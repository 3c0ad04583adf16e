"""What products multiply: numbers with room for a LoRA's beside them, and where it is asked for rounded to eight bits.

A kernel that makes such numbers rounds them on the way, with a scale for each row, so that nobody reads them for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from triton import language as tl

Tensor = torch.Tensor
SMALL = torch.float8_e4m3fn
LARGEST = torch.finfo(SMALL).max
# How many times a row's largest magnitude still fits; the LoRA's numbers beside it may be larger. More would cost the
# smallest numbers digits, though only those a thousand times smaller than the largest.
SPARE = 16.0


@dataclass(frozen=True)
class Operand:
    """Numbers in the left ``columns`` of ``wide`` [rows, columns + room], and the same in eight bits.

    Those are the left columns of ``small`` [rows, columns + 3 room] times ``scale`` [rows, 1] float32.
    """

    wide: Tensor
    columns: int
    small: Tensor | None = None
    scale: Tensor | None = None

    @property
    def numbers(self) -> Tensor:
        """Return the numbers [rows, columns] without the room."""
        return self.wide[:, : self.columns]

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Return what `store` needs: pointers and lengths of rows in memory, and whether to round."""
        if self.small is None or self.scale is None:
            return self.wide, self.wide, self.wide, self.wide.stride(0), 0, LARGEST, SPARE, False
        return self.wide, self.small, self.scale, self.wide.stride(0), self.small.stride(0), LARGEST, SPARE, True


def make_operand(like: Tensor, rows: int, columns: int, room: int = 0, eight: bool = False) -> Operand:
    """Return an operand without numbers yet."""
    return around(like.new_empty((rows, columns + room)), columns, room, eight)


def around(wide: Tensor, columns: int, room: int, eight: bool) -> Operand:
    """Return an operand whose numbers are those of ``wide``; those in eight bits are not there yet."""
    if not eight:
        return Operand(wide, columns)
    small = torch.empty((len(wide), columns + 3 * room), device=wide.device, dtype=SMALL)
    return Operand(wide, columns, small, torch.empty((len(wide), 1), device=wide.device, dtype=torch.float32))


def row_warps(block: int) -> int:
    """Return how many warps compute a row of up to ``block`` numbers; from 2 to 16 all were tried on an H100."""
    return min(16, max(4, block // 1024))


@triton.jit
def store(values, row, column, inside, wide, small, scale, pitch, small_pitch, largest, spare, eight: tl.constexpr):
    """Write a row's ``values``, float32."""
    tl.store(wide + row * pitch + column, values, inside)
    if eight:
        peak = tl.max(tl.where(inside, tl.abs(values), 0.0), 0)
        store_small(values, peak, row, column, inside, small, scale, small_pitch, largest, spare)


@triton.jit
def store_small(values, peak, row, column, inside, small, scale, pitch, largest, spare):
    """Write a row's ``values``, of which ``peak`` is the largest magnitude, in eight bits."""
    # A row of zeros keeps a scale that it can be divided by.
    reach = tl.maximum(peak * spare, 1e-30)
    tl.store(scale + row, reach / largest)
    tl.store(small + row * pitch + column, (values * (largest / reach)).to(small.dtype.element_ty), inside)


@triton.jit
def two_terms(values, largest):
    """Return float8 numbers for ``values``, cut at ``largest``, and others for what those left over."""
    values = tl.clamp(values, -largest, largest)
    # Rounded here, to three digits or below 2**-6 to multiples of 2**-9, halves to even: where a number that was made
    # float8 is used again, ptxas 12.8 reads a register that nobody wrote.
    bits = values.to(tl.int32, bitcast=True)
    bits = (bits + 0x7FFFF + ((bits >> 20) & 1)) & -0x100000
    near = (values * 512 + 12582912.0) - 12582912.0
    near = tl.where(tl.abs(values) < 0.015625, near / 512, bits.to(tl.float32, bitcast=True))
    return near.to(tl.float8e4nv), (values - near).to(tl.float8e4nv)
