"""Exact attention on CUDA: cuDNN's forward pass, which repeats to the bit, and a backward pass of our own that does.

cuDNN's own backward pass adds up in the order in which its blocks happen to finish. This one gives each output tile to
one program, which adds in a fixed order: one kernel for the keys' and values' gradients, one for the queries'.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

Tensor = torch.Tensor
# Token counts must be whole tiles of this size.
TILE = 128
HEAD_CHANNELS = (64, 128)
SMALL_TILE = 64


@torch.library.custom_op("reelgraph::attention", mutates_args=())
def attention(query: Tensor, key: Tensor, value: Tensor, real: int) -> tuple[Tensor, Tensor]:
    """Return attention [1, tokens, heads, channels] over the first ``real`` keys, and log-sum-exp [heads, tokens]."""
    query, key, value = (part.transpose(1, 2) for part in (query, key[:, :real], value[:, :real]))
    out, logsumexp = torch.ops.aten._scaled_dot_product_cudnn_attention(query, key, value, None, True)[:2]
    return out.transpose(1, 2).contiguous(), logsumexp.view(query.shape[1], query.shape[2]).contiguous()


@attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, real: int) -> tuple[Tensor, Tensor]:
    out = query.new_empty(query.shape)
    return out, query.new_empty((query.shape[2], query.shape[1]), dtype=torch.float32)


@torch.library.custom_op("reelgraph::attention_backward", mutates_args=())
def attention_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, logsumexp: Tensor, real: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value, [1, tokens, heads, channels]."""
    gradient, query, key, value, out = (part.contiguous() for part in (gradient, query, key, value, out))
    _, tokens, heads, channels = query.shape
    gradients = torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
    delta = torch.empty_like(logsumexp)
    _row_sums[(tokens // SMALL_TILE, heads)](gradient, out, delta, tokens, heads, channels, SMALL_TILE)
    shared = (gradient, query, key, value, logsumexp, delta)
    scale = channels**-0.5
    large, options = _tiling(query.device)
    sizes = (tokens, real, heads, channels, SMALL_TILE, large)
    grid = (tokens // large, heads)
    _key_gradients[grid](*shared, gradients[1], gradients[2], scale, *sizes, **options)
    _query_gradients[grid](*shared, gradients[0], scale, *sizes, **options)
    return gradients


def _tiling(device: torch.device) -> tuple[int, dict[str, int]]:
    # The A100's and H100's shared memory holds large tiles three deep, that of cards for desktops small ones once.
    roomy = device.type == "cpu" or torch.cuda.get_device_properties(device).shared_memory_per_block_optin > 160 * 1024
    return (128, {"num_warps": 8, "num_stages": 3}) if roomy else (64, {"num_warps": 4, "num_stages": 1})


@attention_backward.register_fake
def _(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, logsumexp: Tensor, real: int
) -> tuple[Tensor, Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    query, key, value, ctx.real = inputs
    ctx.save_for_backward(query, key, value, *output)


def _backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor, _: Tensor) -> tuple:
    query, key, value, out, logsumexp = ctx.saved_tensors
    return *attention_backward(gradient, query, key, value, out, logsumexp, ctx.real), None


attention.register_autograd(_backward, setup_context=_keep)


@triton.jit
def _row_sums(gradient, out, delta, tokens, heads: tl.constexpr, channels: tl.constexpr, tile: tl.constexpr):
    rows = tl.program_id(0) * tile + tl.arange(0, tile)
    head = tl.program_id(1)
    offsets = rows[:, None].to(tl.int64) * heads * channels + head * channels + tl.arange(0, channels)[None, :]
    product = tl.load(gradient + offsets).to(tl.float32) * tl.load(out + offsets).to(tl.float32)
    tl.store(delta + head * tokens + rows, tl.sum(product, axis=1))


@triton.jit
def _key_gradients(
    gradient,
    query,
    key,
    value,
    logsumexp,
    delta,
    key_gradient,
    value_gradient,
    scale,
    tokens,
    real,
    heads: tl.constexpr,
    channels: tl.constexpr,
    small: tl.constexpr,
    large: tl.constexpr,
):
    head = tl.program_id(1)
    columns = tl.arange(0, channels)
    row_stride = heads * channels
    keys = tl.program_id(0) * large + tl.arange(0, large)
    own = keys[:, None].to(tl.int64) * row_stride + head * channels + columns[None, :]
    k = tl.load(key + own)
    v = tl.load(value + own)
    dk = tl.zeros([large, channels], dtype=tl.float32)
    dv = tl.zeros([large, channels], dtype=tl.float32)
    is_real = (keys < real)[:, None]
    factor = scale * 1.4426950408889634
    for start in range(0, tokens, small):
        rows = start + tl.arange(0, small)
        offsets = rows[:, None].to(tl.int64) * row_stride + head * channels + columns[None, :]
        q = tl.load(query + offsets)
        lse = tl.load(logsumexp + head * tokens + rows) * 1.4426950408889634
        p = tl.exp2(tl.dot(k, tl.trans(q)) * factor - lse[None, :])
        p = tl.where(is_real, p, 0.0)
        do = tl.load(gradient + offsets)
        dv += tl.dot(p.to(do.dtype), do)
        dp = tl.dot(v, tl.trans(do))
        row_sum = tl.load(delta + head * tokens + rows)
        ds = p * (dp - row_sum[None, :])
        dk += tl.dot(ds.to(q.dtype), q)
    tl.store(key_gradient + own, (dk * scale).to(key_gradient.dtype.element_ty))
    tl.store(value_gradient + own, dv.to(value_gradient.dtype.element_ty))


@triton.jit
def _query_gradients(
    gradient,
    query,
    key,
    value,
    logsumexp,
    delta,
    query_gradient,
    scale,
    tokens,
    real,
    heads: tl.constexpr,
    channels: tl.constexpr,
    small: tl.constexpr,
    large: tl.constexpr,
):
    head = tl.program_id(1)
    columns = tl.arange(0, channels)
    row_stride = heads * channels
    rows = tl.program_id(0) * large + tl.arange(0, large)
    own = rows[:, None].to(tl.int64) * row_stride + head * channels + columns[None, :]
    q = tl.load(query + own)
    do = tl.load(gradient + own)
    factor = scale * 1.4426950408889634
    lse = (tl.load(logsumexp + head * tokens + rows) * 1.4426950408889634)[:, None]
    row_sum = tl.load(delta + head * tokens + rows)[:, None]
    dq = tl.zeros([large, channels], dtype=tl.float32)
    for start in range(0, real, small):
        keys = start + tl.arange(0, small)
        offsets = keys[:, None].to(tl.int64) * row_stride + head * channels + columns[None, :]
        k = tl.load(key + offsets)
        v = tl.load(value + offsets)
        p = tl.exp2(tl.dot(q, tl.trans(k)) * factor - lse)
        p = tl.where((keys < real)[None, :], p, 0.0)
        dp = tl.dot(do, tl.trans(v))
        ds = p * (dp - row_sum)
        dq += tl.dot(ds.to(k.dtype), k)
    tl.store(query_gradient + own, (dq * scale).to(query_gradient.dtype.element_ty))
