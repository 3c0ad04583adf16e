"""The parts of a Wan block for CUDA, written out forward and backward: products that carry the LoRA, kernels between.

Each part is an autograd function that keeps what its backward pass reads and no more; attention stands between them.
All tensors are [tokens, channels].
"""

from __future__ import annotations

from typing import Any

import torch

from reelgraph.train.fused_weights import Block, Rows
from reelgraph.train.norm_kernels import normalise, normalise_backward
from reelgraph.train.pointwise_kernels import gated, gelu, gelu_backward
from reelgraph.train.products import Products
from reelgraph.train.rotation_kernels import rotate, rotate_backward
from reelgraph.train.transformer import Grid

Tensor = torch.Tensor


class Own(torch.autograd.Function):
    """From a block's input to query, key and value of its attention to itself; hands the input on."""

    @staticmethod
    def forward(ctx: Any, block: Block, rows: Rows, grid: Grid, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        ctx.block, ctx.rows, ctx.grid = block, rows, grid
        products, own, channels = block.own, block.block.self_attn, x.shape[1]
        wide = products.wide(x.shape[0], channels)
        out = wide[:, :channels]
        _, *moments = normalise(x, rows.scale, rows.shift, grid.first, block.block.norm1.eps, out)
        query, key, value = (made := products.forward(wide)).split(channels, 1)
        turned = [
            rotate(part, norm.weight, norm.eps, grid.angles) for part, norm in ((query, own.norm_q), (key, own.norm_k))
        ]
        ctx.save_for_backward(x, *moments, wide, made, *(deviation for _, deviation in turned))
        return x, turned[0][0], turned[1][0], value

    @staticmethod
    def backward(ctx: Any, residual: Tensor, *above: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, deviation, wide, made, *deviations = ctx.saved_tensors
        products, own, channels = ctx.block.own, ctx.block.block.self_attn, x.shape[1]
        gradient = products.wide(x.shape[0], made.shape[1])
        outs = gradient[:, : made.shape[1]].split(channels, 1)
        for n, norm in enumerate((own.norm_q, own.norm_k)):
            part = made.split(channels, 1)[n]
            rotate_backward(above[n], part, norm.weight, deviations[n], ctx.grid.angles, outs[n])
        outs[2].copy_(above[2])
        below = None
        if ctx.needs_input_grad[3]:
            below = torch.empty_like(x)
            norms = products.backward(gradient)
            normalise_backward(norms, residual, x, mean, deviation, ctx.rows.scale, ctx.grid.first, below)
        else:
            products.fill_gradient(gradient)
        return None, None, None, below, *products.gradients(gradient, wide)


class Between(torch.autograd.Function):
    """From what a block's attention to itself gave to the query of its attention to the text."""

    @staticmethod
    def forward(
        ctx: Any, block: Block, rows: Rows, grid: Grid, x: Tensor, attended: Tensor, *_: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.block, ctx.rows, ctx.grid = block, rows, grid
        products, norm, affine = block.text_query, block.block.cross_attn.norm_q, block.affine
        wide = products.wide(*x.shape)
        total, *moments = normalise(
            x, affine.scale, affine.shift, grid.first, block.block.norm3.eps, wide[:, : x.shape[1]],
            block.own_out.forward(block.own_out.widened(attended)), rows.gate,
        )  # fmt: skip
        made = products.forward(wide)
        query, deviation = rotate(made, norm.weight, norm.eps, None)
        ctx.save_for_backward(attended, total, *moments, wide, made, deviation)
        return total, query

    @staticmethod
    def backward(ctx: Any, residual: Tensor, above: Tensor) -> tuple[Tensor | None, ...]:
        attended, total, mean, deviation, wide, made, made_deviation = ctx.saved_tensors
        query, out, channels = ctx.block.text_query, ctx.block.own_out, total.shape[1]
        gradient = query.wide(*total.shape)
        weight = ctx.block.block.cross_attn.norm_q.weight
        rotate_backward(above, made, weight, made_deviation, None, gradient[:, :channels])
        below, branch = torch.empty_like(total), out.wide(*total.shape)
        normalise_backward(
            query.backward(gradient), residual, total, mean, deviation, ctx.block.affine.scale, ctx.grid.first, below,
            ctx.rows.gate, branch[:, :channels],
        )  # fmt: skip
        attended_gradient = out.backward(branch)
        parameters = out.gradients(branch, out.widened(attended)) + query.gradients(gradient, wide)
        return None, None, None, below, attended_gradient, *parameters


class Text(torch.autograd.Function):
    """Key and value of the text; the text itself gets no gradient."""

    @staticmethod
    def forward(ctx: Any, block: Block, context: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        ctx.block = block
        products, norm = block.text, block.block.cross_attn.norm_k
        wide = products.wide(*context.shape)
        wide[:, : context.shape[1]].copy_(context)
        key, value = (made := products.forward(wide)).chunk(2, 1)
        key, deviation = rotate(key, norm.weight, norm.eps, None)
        ctx.save_for_backward(wide, made, deviation)
        return key, value

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        wide, made, deviation = ctx.saved_tensors
        products, norm = ctx.block.text, ctx.block.block.cross_attn.norm_k
        gradient = products.wide(*made.shape)
        key, value = gradient[:, : made.shape[1]].chunk(2, 1)
        rotate_backward(above[0], made.chunk(2, 1)[0], norm.weight, deviation, None, key)
        value.copy_(above[1])
        products.fill_gradient(gradient)
        return None, None, *products.gradients(gradient, wide)


class FeedForward(torch.autograd.Function):
    """From what a block's attention to the text gave to the block's output; ``again``: computed again for backward."""

    @staticmethod
    def forward(
        ctx: Any, block: Block, rows: Rows, grid: Grid, again: bool, x: Tensor, attended: Tensor, *_: Tensor
    ) -> Tensor:
        ctx.block, ctx.rows, ctx.grid = block, rows, grid
        total, *kept, peaks = _widened(ctx, x, block.text_out.forward(block.text_out.widened(attended)))
        out = torch.empty_like(x)
        gated(total, block.narrow.forward(kept[-1], peaks), rows.gate, grid.first, out)
        ctx.save_for_backward(attended, total, *([] if again else kept))
        return out

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        attended, total, *kept = ctx.saved_tensors
        text, widen, narrow = ctx.block.text_out, ctx.block.widen, ctx.block.narrow
        if not kept:
            # Adding nothing runs the very kernel that ran before; another one might round otherwise.
            _, *kept, _ = _widened(ctx, total, torch.zeros_like(total[0]).expand_as(total))
            narrow.fill(kept[-1])
        mean, deviation, wide, inner, bent = kept
        last = narrow.wide(*total.shape)
        gated(None, above, ctx.rows.gate, ctx.grid.first, last[:, : total.shape[1]])
        bent_gradient, middle = narrow.backward(last), widen.wide(*inner.shape)
        parameters = narrow.gradients(last, bent)
        peaks = gelu_backward(bent_gradient, inner, middle[:, : inner.shape[1]])
        below = text.wide(*total.shape)
        out = below[:, : total.shape[1]]
        norms = widen.backward(middle, peaks)
        parameters = widen.gradients(middle, wide) + parameters
        normalise_backward(norms, above, total, mean, deviation, ctx.rows.scale, ctx.grid.first, out)
        attended_gradient = text.backward(below)
        parameters = text.gradients(below, text.widened(attended)) + parameters
        return None, None, None, None, out, attended_gradient, *parameters


def _widened(ctx: Any, x: Tensor, branch: Tensor) -> tuple[Tensor, ...]:
    """Return ``x + branch``; mean and inverse deviation of its rows; input, output and GELU of the wide layer; peaks."""
    block, channels = ctx.block, x.shape[1]
    wide = block.widen.wide(*x.shape)
    total, *moments = normalise(
        x, ctx.rows.scale, ctx.rows.shift, ctx.grid.first, block.block.norm2.eps, wide[:, :channels], branch
    )
    inner = block.widen.forward(wide)
    bent = block.narrow.wide(*inner.shape)
    return total, *moments, wide, inner, bent, gelu(inner, bent[:, : inner.shape[1]])


class Normalised(torch.autograd.Function):
    """Layer norm of ``x`` with a factor and an offset that need no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Rows, grid: Grid, epsilon: float) -> Tensor:
        """Return the normalised ``x``."""
        ctx.rows, ctx.grid = rows, grid
        out = torch.empty_like(x)
        _, *moments = normalise(x, rows.scale, rows.shift, grid.first, epsilon, out)
        ctx.save_for_backward(x, *moments)
        return out

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of ``x``."""
        x, mean, deviation = ctx.saved_tensors
        below = torch.empty_like(x)
        normalise_backward(above, None, x, mean, deviation, ctx.rows.scale, ctx.grid.first, below)
        return below, None, None, None
