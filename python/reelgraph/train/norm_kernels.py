"""Layer norm between a Wan block's products, with what is added before it and what it is scaled by; float32 inside.

Each row is read once and written once, by one program. Rows may be longer in memory than what is computed: the room to
their right is the LoRA's, see `products`. Nothing is tuned while it runs, so results repeat to the bit.
"""

from __future__ import annotations

import torch
import triton
from triton import language as tl

from reelgraph.train.operands import Operand, row_warps, store

Tensor = torch.Tensor


@triton.jit
def _normalise(
    x, branch, gate, scale, shift, total, mean, deviation, branch_pitch, gate_pitch, table_pitch, first, epsilon,
    wide, small, small_scale, pitch, small_pitch, largest, spare, eight: tl.constexpr, width: tl.constexpr,
    block: tl.constexpr, has_branch: tl.constexpr, has_gate: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    kind = (row >= first).to(tl.int32)
    values = tl.load(x + row * width + column, inside, 0.0).to(tl.float32)
    if has_branch:
        added = tl.load(branch + row * branch_pitch + column, inside, 0.0).to(tl.float32)
        if has_gate:
            added *= tl.load(gate + kind * gate_pitch + column, inside, 0.0).to(tl.float32)
        # What follows sees the sum as it is kept.
        values = (values + added).to(total.dtype.element_ty)
        tl.store(total + row * width + column, values, inside)
        values = values.to(tl.float32)
    middle = tl.sum(values, 0) / width
    centred = tl.where(inside, values - middle, 0.0)
    inverse = 1 / tl.sqrt(tl.sum(centred * centred, 0) / width + epsilon)
    tl.store(mean + row, middle)
    tl.store(deviation + row, inverse)
    factor = tl.load(scale + kind * table_pitch + column, inside, 0.0)
    offset = tl.load(shift + kind * table_pitch + column, inside, 0.0)
    values = centred * inverse * factor + offset
    store(values, row, column, inside, wide, small, small_scale, pitch, small_pitch, largest, spare, eight)


@triton.jit
def _normalise_backward(
    gradient, residual, x, mean, deviation, scale, gate, total, gradient_pitch, residual_pitch, gate_pitch,
    table_pitch, first, wide, small, small_scale, pitch, small_pitch, largest, spare, eight: tl.constexpr,
    width: tl.constexpr, block: tl.constexpr, has_gate: tl.constexpr, has_residual: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    kind = (row >= first).to(tl.int32)
    inverse = tl.load(deviation + row)
    values = (tl.load(x + row * width + column, inside, 0.0).to(tl.float32) - tl.load(mean + row)) * inverse
    values = tl.where(inside, values, 0.0)
    above = tl.load(gradient + row * gradient_pitch + column, inside, 0.0).to(tl.float32)
    above *= tl.load(scale + kind * table_pitch + column, inside, 0.0)
    result = (above - tl.sum(above, 0) / width - values * (tl.sum(above * values, 0) / width)) * inverse
    if has_residual:
        result += tl.load(residual + row * residual_pitch + column, inside, 0.0).to(tl.float32)
    if has_gate:
        # What follows sees the sum as it is kept.
        result = result.to(total.dtype.element_ty)
        tl.store(total + row * width + column, result, inside)
        result = result.to(tl.float32) * tl.load(gate + kind * gate_pitch + column, inside, 0.0).to(tl.float32)
    store(result, row, column, inside, wide, small, small_scale, pitch, small_pitch, largest, spare, eight)


def normalise(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    first: int,
    epsilon: float,
    out: Operand,
    branch: Tensor | None = None,
    gate: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Write to ``out`` the layer norm of ``x + gate * branch`` times ``scale`` plus ``shift``.

    ``scale`` and ``shift`` (float32) and ``gate`` have two rows, for the ``first`` tokens and for all others. Returns
    the sum, and mean and inverse deviation of its rows, float32.
    """
    rows, width = x.shape
    block = triton.next_power_of_2(width)
    total = x if branch is None else torch.empty_like(x)
    mean, deviation = (torch.empty(rows, device=x.device, dtype=torch.float32) for _ in range(2))
    _normalise[(rows,)](
        x, x if branch is None else branch, x if gate is None else gate, scale, shift, total, mean, deviation,
        0 if branch is None else branch.stride(0), 0 if gate is None else gate.stride(0), scale.stride(0), first,
        epsilon, *out.arguments, width, block, branch is not None, gate is not None,
        num_warps=row_warps(block),
    )  # fmt: skip
    return total, mean, deviation


def normalise_backward(
    gradient: Tensor,
    residual: Tensor | None,
    x: Tensor,
    mean: Tensor,
    deviation: Tensor,
    scale: Tensor,
    first: int,
    out: Operand,
    gate: Tensor | None = None,
    total: Tensor | None = None,
) -> None:
    """Write to ``out`` ``residual`` plus the norm's gradient: that of ``x``.

    With ``gate`` that goes to ``total``, which has its shape and no room, and to ``out`` goes ``gate`` times that.
    """
    rows, width = x.shape
    block = triton.next_power_of_2(width)
    _normalise_backward[(rows,)](
        gradient, x if residual is None else residual, x, mean, deviation, scale, x if gate is None else gate,
        x if total is None else total, gradient.stride(0), 0 if residual is None else residual.stride(0),
        0 if gate is None else gate.stride(0), scale.stride(0), first, *out.arguments, width, block, gate is not None,
        residual is not None, num_warps=row_warps(block),
    )  # fmt: skip
