"""RMS norm of queries and keys and their rotation, as one kernel each way; see `norm_kernels`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from triton import language as tl

from reelgraph.train.operands import Operand, row_warps, store, store_small

Tensor = torch.Tensor


@triton.jit
def _rotate(
    x, weight, cosine, sine, out, deviation, x_pitch, out_pitch, epsilon, width: tl.constexpr, block: tl.constexpr,
    half: tl.constexpr, rotated: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    values = tl.load(x + row * x_pitch + column, inside, 0.0).to(tl.float32)
    inverse = 1 / tl.sqrt(tl.sum(values * values, 0) / width + epsilon)
    tl.store(deviation + row, inverse)
    values = values * inverse * tl.load(weight + column, inside, 0.0).to(tl.float32)
    if rotated:
        pair = row * half + tl.arange(0, block // 2) % half
        c, s = tl.load(cosine + pair), tl.load(sine + pair)
        real, imaginary = tl.split(tl.reshape(values, (block // 2, 2)))
        values = tl.reshape(tl.join(real * c - imaginary * s, real * s + imaginary * c), (block,))
    tl.store(out + row * out_pitch + column, values, inside)


@triton.jit
def _turned_back(
    above, x, weight, cosine, sine, inverse, row, column, inside, width: tl.constexpr, block: tl.constexpr,
    half: tl.constexpr, rotated: tl.constexpr,
):  # fmt: skip
    above = tl.load(above, inside, 0.0).to(tl.float32)
    if rotated:
        pair = row * half + tl.arange(0, block // 2) % half
        c, s = tl.load(cosine + pair), tl.load(sine + pair)
        real, imaginary = tl.split(tl.reshape(above, (block // 2, 2)))
        above = tl.reshape(tl.join(real * c + imaginary * s, imaginary * c - real * s), (block,))
    above *= tl.load(weight + column, inside, 0.0).to(tl.float32)
    values = tl.load(x, inside, 0.0).to(tl.float32) * inverse
    return (above - values * (tl.sum(above * values, 0) / width)) * inverse


@triton.jit
def _rotate_backward(
    gradient, x, weight, deviation, gradient_pitch, x_pitch, wide, small, small_scale, pitch, small_pitch, largest,
    spare, eight: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    values = _turned_back(
        gradient + row * gradient_pitch + column, x + row * x_pitch + column, weight, weight, weight,
        tl.load(deviation + row), row, column, inside, width, block, 1, False,
    )  # fmt: skip
    store(values, row, column, inside, wide, small, small_scale, pitch, small_pitch, largest, spare, eight)


@triton.jit
def _three_backward(
    query, key, value, made, query_weight, key_weight, query_deviation, key_deviation, cosine, sine, query_pitch,
    key_pitch, value_pitch, made_pitch, wide, small, small_scale, pitch, small_pitch, largest, spare,
    eight: tl.constexpr, width: tl.constexpr, block: tl.constexpr, half: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    made += row * made_pitch + column
    first = _turned_back(
        query + row * query_pitch + column, made, query_weight, cosine, sine, tl.load(query_deviation + row), row,
        column, inside, width, block, half, True,
    )  # fmt: skip
    second = _turned_back(
        key + row * key_pitch + column, made + width, key_weight, cosine, sine, tl.load(key_deviation + row), row,
        column, inside, width, block, half, True,
    )  # fmt: skip
    third = tl.load(value + row * value_pitch + column, inside, 0.0).to(tl.float32)
    wide += row * pitch + column
    tl.store(wide, first, inside)
    tl.store(wide + width, second, inside)
    tl.store(wide + 2 * width, third, inside)
    if eight:
        peak = tl.maximum(tl.max(tl.abs(first), 0), tl.max(tl.abs(second), 0))
        peak = tl.maximum(peak, tl.max(tl.abs(third), 0))
        store_small(first, peak, row, column, inside, small, small_scale, small_pitch, largest, spare)
        store_small(second, peak, row, column + width, inside, small, small_scale, small_pitch, largest, spare)
        store_small(third, peak, row, column + 2 * width, inside, small, small_scale, small_pitch, largest, spare)


def rotate(x: Tensor, weight: Tensor, epsilon: float, angles: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """Return RMS norm of ``x`` times ``weight``, its pairs turned by ``angles``; and its rows' inverse deviation.

    ``angles`` are cosines and sines, [tokens, half of a head's channels] float32.
    """
    rows, width = x.shape
    out = torch.empty((rows, width), device=x.device, dtype=x.dtype)
    deviation = torch.empty(rows, device=x.device, dtype=torch.float32)
    cosine, sine = angles or (deviation, deviation)
    _rotate[(rows,)](
        x, weight, cosine, sine, out, deviation, x.stride(0), width, epsilon, width, triton.next_power_of_2(width),
        _half(angles), angles is not None, num_warps=8,
    )  # fmt: skip
    return out, deviation


def scale_backward(gradient: Tensor, x: Tensor, weight: Tensor, deviation: Tensor, out: Operand) -> None:
    """Write to ``out`` the gradient of ``rotate``'s ``x`` where nothing was turned."""
    rows, width = x.shape
    block = triton.next_power_of_2(width)
    _rotate_backward[(rows,)](
        gradient, x, weight, deviation, gradient.stride(0), x.stride(0), *out.arguments, width,
        block, num_warps=row_warps(block),
    )  # fmt: skip


def rotate_backward(
    gradients: Sequence[Tensor],
    made: Tensor,
    weights: Sequence[Tensor],
    deviations: Sequence[Tensor],
    angles: tuple[Tensor, Tensor],
    out: Operand,
) -> None:
    """Write to ``out`` the gradient of ``made`` [tokens, 3 channels]: query, key and value beside each other.

    ``gradients`` are those of query and key, which were turned, with ``weights`` and ``deviations``; and of the value.
    """
    rows, width = made.shape[0], made.shape[1] // 3
    block = triton.next_power_of_2(width)
    _three_backward[(rows,)](
        *gradients, made, *weights, *deviations, *angles, *(part.stride(0) for part in gradients), made.stride(0),
        *out.arguments, width, block, _half(angles), num_warps=row_warps(block if out.small is None else 4 * block),
    )  # fmt: skip


def _half(angles: tuple[Tensor, Tensor] | None) -> int:
    # Anything else would compile a kernel for each number of tokens.
    return angles[0].shape[-1] if angles else 1
