"""Attention of a clip's tokens to its few text tokens on CUDA, forward and backward; sums are added in one order.

Each text token may count several times, as padding does, see `context`: that is a number added to its scores.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
from triton import language as tl

Tensor = torch.Tensor
# Clip tokens and text tokens of one tile.
ROWS, KEYS = 64, 64
# Into how many parts at most the sums over a clip's tokens are split, each of at least so many tokens.
PARTS, PART_ROWS = 16, 512
WARPS = 4


def attend_text(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, heads: int, room: int = 0) -> Tensor:
    """Return attention [tokens, channels] of ``query`` to ``key`` and ``value`` [text tokens, channels].

    Each text token counts as often as two to the power of its ``bias`` [text tokens], float32, says; the first one at
    least once. ``room`` numbers lie beside the result's rows in memory.
    """
    return _TextAttention.apply(query, key, value, bias, heads, room)


class _TextAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, heads: int, room: int) -> Tensor:
        rows, channels = query.shape
        out = query.new_empty((rows, channels + room))[:, :channels]
        sums = torch.empty((heads, rows), device=query.device, dtype=torch.float32)
        _attend[(triton.cdiv(rows, ROWS), heads)](
            query, key, value, bias, out, sums, *_pitches(query, key, value, out), _scale(channels, heads), rows,
            len(key), channels // heads, _block(channels, heads), ROWS, KEYS, num_warps=WARPS, num_stages=1,
        )  # fmt: skip
        ctx.save_for_backward(query, key, value, bias, out, sums)
        ctx.heads = heads
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, bias, out, sums = ctx.saved_tensors
        (rows, channels), heads = query.shape, ctx.heads
        width, block, scale = channels // heads, _block(channels, heads), _scale(channels, heads)
        below, products = torch.empty_like(query), torch.empty_like(sums)
        _attend_backward[(triton.cdiv(rows, ROWS), heads)](
            query, key, value, bias, out, gradient, sums, products, below, *_pitches(query, key, value, out, gradient),
            scale, rows, len(key), width, block, ROWS, KEYS, num_warps=WARPS, num_stages=1,
        )  # fmt: skip
        part_rows = triton.cdiv(max(PART_ROWS, triton.cdiv(rows, PARTS)), ROWS) * ROWS
        parts = triton.cdiv(rows, part_rows)
        sides = torch.empty((2, parts, len(key), channels), device=query.device, dtype=torch.float32)
        _attend_backward_text[(parts, heads, triton.cdiv(len(key), KEYS))](
            query, key, value, bias, gradient, sums, products, *sides, *_pitches(query, key, value, gradient),
            scale, rows, len(key), part_rows, width, block, ROWS, KEYS, num_warps=WARPS, num_stages=2,
        )  # fmt: skip
        return below, *sides.sum(1).to(query.dtype), None, None, None


def _pitches(*tensors: Tensor) -> tuple[int, ...]:
    return tuple(tensor.stride(0) for tensor in tensors)


def _scale(channels: int, heads: int) -> float:
    return (channels // heads) ** -0.5


def _block(channels: int, heads: int) -> int:
    return max(16, triton.next_power_of_2(channels // heads))


@triton.jit
def _scores(query, key, bias, scale):
    # Exponents of two; the factor is the logarithm of e.
    return tl.dot(query, tl.trans(key)) * (scale * 1.4426950408889634) + bias[None, :]


@triton.jit
def _text_tokens(key, value, bias, index, there, keys, channel, key_pitch, value_pitch):
    """Return bias, key and value of the text tokens ``index``, where they are ``there``."""
    own = tl.load(bias + index, index < keys, float("-inf"))
    found = tl.load(key + index[:, None] * key_pitch + channel, there, 0.0)
    return own, found, tl.load(value + index[:, None] * value_pitch + channel, there, 0.0)


@triton.jit
def _attend(
    query, key, value, bias, out, sums, query_pitch, key_pitch, value_pitch, out_pitch, scale, rows, keys,
    width: tl.constexpr, block: tl.constexpr, row_block: tl.constexpr, key_block: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    row, column = tl.program_id(0) * row_block + tl.arange(0, row_block), tl.arange(0, block)
    inside, channel = (row < rows)[:, None] & (column < width)[None, :], (head * width + column)[None, :]
    wide_row = row.to(tl.int64)[:, None]
    asked = tl.load(query + wide_row * query_pitch + channel, inside, 0.0)
    largest, total = tl.full((row_block,), float("-inf"), tl.float32), tl.zeros((row_block,), tl.float32)
    result = tl.zeros((row_block, block), tl.float32)
    for start in range(0, keys, key_block):
        index = start + tl.arange(0, key_block)
        there = (index < keys)[:, None] & (column < width)[None, :]
        own, found, said = _text_tokens(key, value, bias, index, there, keys, channel, key_pitch, value_pitch)
        scores = _scores(asked, found, own, scale)
        now = tl.maximum(largest, tl.max(scores, 1))
        shares, faded = tl.exp2(scores - now[:, None]), tl.exp2(largest - now)
        result = tl.dot(shares.to(said.dtype), said, result * faded[:, None])
        total = total * faded + tl.sum(shares, 1)
        largest = now
    tl.store(out + wide_row * out_pitch + channel, result / total[:, None], inside)
    tl.store(sums + head * rows + row, largest + tl.log2(total), row < rows)


@triton.jit
def _attend_backward(
    query, key, value, bias, out, gradient, sums, products, below, query_pitch, key_pitch, value_pitch, out_pitch,
    gradient_pitch, scale, rows, keys, width: tl.constexpr, block: tl.constexpr, row_block: tl.constexpr,
    key_block: tl.constexpr,
):  # fmt: skip
    head = tl.program_id(1)
    row, column = tl.program_id(0) * row_block + tl.arange(0, row_block), tl.arange(0, block)
    inside, channel = (row < rows)[:, None] & (column < width)[None, :], (head * width + column)[None, :]
    wide_row = row.to(tl.int64)[:, None]
    asked = tl.load(query + wide_row * query_pitch + channel, inside, 0.0)
    above = tl.load(gradient + wide_row * gradient_pitch + channel, inside, 0.0)
    product = tl.load(out + wide_row * out_pitch + channel, inside, 0.0).to(tl.float32) * above.to(tl.float32)
    product = tl.sum(product, 1)
    tl.store(products + head * rows + row, product, row < rows)
    total = tl.load(sums + head * rows + row, row < rows, float("inf"))
    result = tl.zeros((row_block, block), tl.float32)
    for start in range(0, keys, key_block):
        index = start + tl.arange(0, key_block)
        there = (index < keys)[:, None] & (column < width)[None, :]
        own, found, said = _text_tokens(key, value, bias, index, there, keys, channel, key_pitch, value_pitch)
        shares = tl.exp2(_scores(asked, found, own, scale) - total[:, None])
        changed = shares * (tl.dot(above, tl.trans(said)) - product[:, None]) * scale
        result = tl.dot(changed.to(found.dtype), found, result)
    tl.store(below + wide_row * (tl.num_programs(1) * width) + channel, result, inside)


@triton.jit
def _attend_backward_text(
    query, key, value, bias, gradient, sums, products, key_sides, value_sides, query_pitch, key_pitch, value_pitch,
    gradient_pitch, scale, rows, keys, part_rows, width: tl.constexpr, block: tl.constexpr, row_block: tl.constexpr,
    key_block: tl.constexpr,
):  # fmt: skip
    part, head = tl.program_id(0), tl.program_id(1)
    index, column = tl.program_id(2) * key_block + tl.arange(0, key_block), tl.arange(0, block)
    there, channel = (index < keys)[:, None] & (column < width)[None, :], (head * width + column)[None, :]
    own, found, said = _text_tokens(key, value, bias, index, there, keys, channel, key_pitch, value_pitch)
    key_side, value_side = tl.zeros((key_block, block), tl.float32), tl.zeros((key_block, block), tl.float32)
    for start in range(part * part_rows, min(rows, (part + 1) * part_rows), row_block):
        row = start + tl.arange(0, row_block)
        inside, wide_row = (row < rows)[:, None] & (column < width)[None, :], row.to(tl.int64)[:, None]
        asked = tl.load(query + wide_row * query_pitch + channel, inside, 0.0)
        above = tl.load(gradient + wide_row * gradient_pitch + channel, inside, 0.0)
        total = tl.load(sums + head * rows + row, row < rows, float("inf"))
        product = tl.load(products + head * rows + row, row < rows, 0.0)
        shares = tl.exp2(_scores(asked, found, own, scale) - total[:, None])
        value_side = tl.dot(tl.trans(shares.to(above.dtype)), above, value_side)
        changed = shares * (tl.dot(above, tl.trans(said)) - product[:, None]) * scale
        key_side = tl.dot(tl.trans(changed.to(asked.dtype)), asked, key_side)
    place = (part * keys + index[:, None]) * (tl.num_programs(1) * width) + channel
    tl.store(key_sides + place, key_side, there)
    tl.store(value_sides + place, value_side, there)
