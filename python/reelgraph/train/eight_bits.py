"""Frozen weights in eight bits, for the profile ``fast``: products of float8 numbers take about half the time.

Weights are rounded once, with a scale for each channel that a product makes; what they are multiplied with is rounded
each time, with a scale for each token. The LoRA and its products stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
from triton import language as tl

Tensor = torch.Tensor
NUMBERS = torch.float8_e4m3fn
LARGEST = torch.finfo(NUMBERS).max


@dataclass(frozen=True)
class EightBits:
    """A matrix [outer, inner] twice, as a product needs it forward and backward, with scales [1, channels]."""

    upper: Tensor
    upper_scale: Tensor
    lower: Tensor
    lower_scale: Tensor

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return ``x`` [tokens, inner] times the matrix plus ``bias``."""
        return _product(x, self.upper, self.upper_scale, bias)

    def backward(self, gradient: Tensor) -> Tensor:
        """Return ``gradient`` [tokens, outer] times the matrix."""
        return _product(gradient, self.lower, self.lower_scale, None)


def eight_bits(weight: Tensor) -> EightBits:
    """Return ``weight`` [outer, inner] in eight bits."""
    upper, lower = _rounded(weight), _rounded(weight.T)
    return EightBits(*upper, *lower)


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``x`` [rows, width] in eight bits, and each row's scale [rows, 1] float32."""
    rows, width = x.shape
    out = torch.empty((rows, width), device=x.device, dtype=NUMBERS)
    scale = torch.empty((rows, 1), device=x.device, dtype=torch.float32)
    block = triton.next_power_of_2(width)
    _quantise[(rows,)](x, out, scale, x.stride(0), LARGEST, width, block, num_warps=min(16, max(4, block // 1024)))
    return out, scale


def _product(x: Tensor, weight: Tensor, scale: Tensor, bias: Tensor | None) -> Tensor:
    small, row_scale = quantise(x)
    return torch._scaled_mm(
        small, weight.T, scale_a=row_scale, scale_b=scale, bias=bias, out_dtype=x.dtype, use_fast_accum=True
    )


def _rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    scale = weight.float().abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / LARGEST
    # The products take a row's numbers beside each other, also those of a transposed matrix.
    return (weight.float() / scale).to(NUMBERS).contiguous(), scale.T.contiguous()


@triton.jit
def _quantise(x, out, scale, pitch, largest, width: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    values = tl.load(x + row * pitch + column, inside, 0.0).to(tl.float32)
    # A row of zeros keeps a scale that it can be divided by.
    factor = tl.maximum(tl.max(tl.abs(values), 0), 1e-30) / largest
    tl.store(scale + row, factor)
    tl.store(out + row * width + column, (values / factor).to(tl.float8e4nv), inside)
