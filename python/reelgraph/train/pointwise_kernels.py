"""GELU and gated addition between a Wan block's products; see `norm_kernels`."""

from __future__ import annotations

import torch
import triton
from triton import language as tl

Tensor = torch.Tensor
# Columns of a row that one program computes.
COLUMNS = 1024


@triton.jit
def _gelu(
    x, gradient, out, peaks, x_pitch, gradient_pitch, out_pitch, width, block: tl.constexpr, backward: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < width
    values = tl.load(x + row * x_pitch + column, inside, 0.0).to(tl.float32)
    # The tanh of GELU's usual approximation, as a sigmoid of twice its argument.
    share = tl.sigmoid(1.5957691216057308 * (values + 0.044715 * values * values * values))
    if backward:
        slope = 1.5957691216057308 * (1 + 0.134145 * values * values)
        above = tl.load(gradient + row * gradient_pitch + column, inside, 0.0).to(tl.float32)
        values = above * (share + values * share * (1 - share) * slope)
    else:
        values *= share
    tl.store(out + row * out_pitch + column, values, inside)
    tl.store(peaks + tl.program_id(1) * tl.num_programs(0) + row, tl.max(tl.where(inside, tl.abs(values), 0.0), 0))


@triton.jit
def _gated(
    x, branch, gate, out, branch_pitch, out_pitch, gate_pitch, first, width, block: tl.constexpr, has_x: tl.constexpr
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * block + tl.arange(0, block)
    inside = column < width
    kind = (row >= first).to(tl.int32)
    values = tl.load(branch + row * branch_pitch + column, inside, 0.0).to(tl.float32)
    values *= tl.load(gate + kind * gate_pitch + column, inside, 0.0).to(tl.float32)
    if has_x:
        values += tl.load(x + row * width + column, inside, 0.0).to(tl.float32)
    tl.store(out + row * out_pitch + column, values, inside)


def gelu(x: Tensor, out: Tensor) -> Tensor:
    """Write to ``out`` GELU of ``x`` in its tanh approximation; return the largest magnitudes in parts of each row."""
    return _launch_gelu(x, x, out, backward=False)


def gelu_backward(gradient: Tensor, x: Tensor, out: Tensor) -> Tensor:
    """Write to ``out`` the gradient of GELU's ``x``; return the largest magnitudes in parts of each row."""
    return _launch_gelu(x, gradient, out, backward=True)


def _launch_gelu(x: Tensor, gradient: Tensor, out: Tensor, backward: bool) -> Tensor:
    rows, parts = x.shape[0], triton.cdiv(x.shape[1], COLUMNS)
    peaks = torch.empty((parts, rows), device=x.device, dtype=torch.float32)
    _gelu[(rows, parts)](
        x, gradient, out, peaks, x.stride(0), gradient.stride(0), out.stride(0), x.shape[1], COLUMNS, backward
    )
    return peaks


def gated(x: Tensor | None, branch: Tensor, gate: Tensor, first: int, out: Tensor) -> None:
    """Write ``x + gate * branch`` to ``out``; ``gate`` has two rows, for the ``first`` tokens and for all others."""
    rows, width = branch.shape
    _gated[(rows, triton.cdiv(width, COLUMNS))](
        branch if x is None else x, branch, gate, out, branch.stride(0), out.stride(0), gate.stride(0), first, width,
        COLUMNS, x is not None,
    )  # fmt: skip
