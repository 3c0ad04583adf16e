"""RMS norm of queries and keys and their rotation, as one kernel each way; see `norm_kernels`."""

from __future__ import annotations

import torch
import triton
from triton import language as tl

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
def _rotate_backward(
    gradient, x, weight, cosine, sine, deviation, out, gradient_pitch, x_pitch, out_pitch, width: tl.constexpr,
    block: tl.constexpr, half: tl.constexpr, rotated: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    above = tl.load(gradient + row * gradient_pitch + column, inside, 0.0).to(tl.float32)
    if rotated:
        pair = row * half + tl.arange(0, block // 2) % half
        c, s = tl.load(cosine + pair), tl.load(sine + pair)
        real, imaginary = tl.split(tl.reshape(above, (block // 2, 2)))
        above = tl.reshape(tl.join(real * c + imaginary * s, imaginary * c - real * s), (block,))
    above *= tl.load(weight + column, inside, 0.0).to(tl.float32)
    inverse = tl.load(deviation + row)
    values = tl.load(x + row * x_pitch + column, inside, 0.0).to(tl.float32) * inverse
    result = (above - values * (tl.sum(above * values, 0) / width)) * inverse
    tl.store(out + row * out_pitch + column, result, inside)


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


def rotate_backward(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    deviation: Tensor,
    angles: tuple[Tensor, Tensor] | None,
    out: Tensor,
) -> None:
    """Write to ``out`` the gradient of ``rotate``'s ``x``."""
    rows, width = x.shape
    cosine, sine = angles or (deviation, deviation)
    _rotate_backward[(rows,)](
        gradient, x, weight, cosine, sine, deviation, out, gradient.stride(0), x.stride(0), out.stride(0), width,
        triton.next_power_of_2(width), _half(angles), angles is not None, num_warps=8,
    )  # fmt: skip


def _half(angles: tuple[Tensor, Tensor] | None) -> int:
    # Anything else would compile a kernel for each number of tokens.
    return angles[0].shape[-1] if angles else 1
