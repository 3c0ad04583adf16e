"""GELU and gated addition between a Wan block's products; see `norm_kernels`."""

from __future__ import annotations

import torch
import triton
from triton import language as tl

from reelgraph.train.operands import Operand, row_warps, store

Tensor = torch.Tensor


@triton.jit
def _gelu(
    x, gradient, x_pitch, gradient_pitch, wide, small, small_scale, pitch, small_pitch, largest, spare,
    eight: tl.constexpr, width: tl.constexpr, block: tl.constexpr, backward: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    values = tl.load(x + row * x_pitch + column, inside, 0.0).to(tl.float32)
    # The tanh of GELU's usual approximation, as a sigmoid of twice its argument; a division takes longer than a root.
    root = tl.rsqrt(1 + tl.exp2(-2.302208198144 * (values + 0.044715 * values * values * values)))
    share = root * root
    if backward:
        slope = 1.5957691216057308 * (1 + 0.134145 * values * values)
        above = tl.load(gradient + row * gradient_pitch + column, inside, 0.0).to(tl.float32)
        values = above * (share + values * share * (1 - share) * slope)
    else:
        values *= share
    store(values, row, column, inside, wide, small, small_scale, pitch, small_pitch, largest, spare, eight)


@triton.jit
def _gated(
    x, branch, gate, branch_pitch, gate_pitch, first, wide, small, small_scale, pitch, small_pitch, largest, spare,
    eight: tl.constexpr, width: tl.constexpr, block: tl.constexpr, has_x: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    kind = (row >= first).to(tl.int32)
    values = tl.load(branch + row * branch_pitch + column, inside, 0.0).to(tl.float32)
    values *= tl.load(gate + kind * gate_pitch + column, inside, 0.0).to(tl.float32)
    if has_x:
        values += tl.load(x + row * width + column, inside, 0.0).to(tl.float32)
    store(values, row, column, inside, wide, small, small_scale, pitch, small_pitch, largest, spare, eight)


def gelu(x: Tensor, out: Operand) -> None:
    """Write to ``out`` GELU of ``x`` in its tanh approximation."""
    _launch_gelu(x, x, out, backward=False)


def gelu_backward(gradient: Tensor, x: Tensor, out: Operand) -> None:
    """Write to ``out`` the gradient of GELU's ``x``."""
    _launch_gelu(x, gradient, out, backward=True)


def _launch_gelu(x: Tensor, gradient: Tensor, out: Operand, backward: bool) -> None:
    rows, width = x.shape
    block = triton.next_power_of_2(width)
    _gelu[(rows,)](
        x, gradient, x.stride(0), gradient.stride(0), *out.arguments, width, block, backward,
        num_warps=row_warps(block),
    )  # fmt: skip


def gated(x: Tensor | None, branch: Tensor, gate: Tensor, first: int, out: Operand) -> None:
    """Write ``x + gate * branch`` to ``out``; ``gate`` has two rows, for the ``first`` tokens and for all others."""
    rows, width = branch.shape
    block = triton.next_power_of_2(width)
    _gated[(rows,)](
        branch if x is None else x, branch, gate, branch.stride(0), gate.stride(0), first, *out.arguments, width,
        block, x is not None, num_warps=row_warps(block),
    )  # fmt: skip
