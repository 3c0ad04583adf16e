"""The parts of a Wan block for CUDA, written out forward and backward: products that carry the LoRA, kernels between.

Each part is an autograd function that keeps what its backward pass reads and no more; attention stands between them.
All tensors are [tokens, channels].
"""

from __future__ import annotations

from typing import Any

import torch

from reelgraph.train.fused_weights import Block, Rows
from reelgraph.train.norm_kernels import normalise, normalise_backward
from reelgraph.train.operands import Operand, make_operand
from reelgraph.train.pointwise_kernels import gated, gelu, gelu_backward
from reelgraph.train.rotation_kernels import rotate, rotate_backward, scale_backward
from reelgraph.train.transformer import Grid

Tensor = torch.Tensor


class Own(torch.autograd.Function):
    """From a block's input to query, key and value of its attention to itself; hands the input on."""

    @staticmethod
    def forward(ctx: Any, block: Block, rows: Rows, grid: Grid, x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        ctx.block, ctx.rows, ctx.grid = block, rows, grid
        products, own = block.own, block.block.self_attn
        inputs = products.operand(len(x))
        _, *moments = normalise(x, rows.scale, rows.shift, grid.first, block.block.norm1.eps, inputs)
        query, key, value = (made := products.forward(inputs)).chunk(3, 1)
        turned = [
            rotate(part, norm.weight, norm.eps, grid.angles) for part, norm in ((query, own.norm_q), (key, own.norm_k))
        ]
        ctx.save_for_backward(x, *moments, inputs.wide, made, *(deviation for _, deviation in turned))
        return x, turned[0][0], turned[1][0], value

    @staticmethod
    def backward(ctx: Any, residual: Tensor, *above: Tensor) -> tuple[Tensor | None, ...]:
        x, mean, deviation, wide, made, *deviations = ctx.saved_tensors
        products, norms = ctx.block.own, (ctx.block.block.self_attn.norm_q, ctx.block.block.self_attn.norm_k)
        gradient = products.gradient(len(x))
        rotate_backward(above, made, [norm.weight for norm in norms], deviations, ctx.grid.angles, gradient)
        if not ctx.needs_input_grad[3]:
            return None, None, None, None, *products.gradients(gradient, wide)
        inner, parameters = products.backward(gradient, wide)
        below = make_operand(x, *x.shape)
        normalise_backward(inner, residual, x, mean, deviation, ctx.rows.scale, ctx.grid.first, below)
        return None, None, None, below.wide, *parameters


class Between(torch.autograd.Function):
    """From what a block's attention to itself gave to the query of its attention to the text."""

    @staticmethod
    def forward(
        ctx: Any, block: Block, rows: Rows, grid: Grid, x: Tensor, attended: Tensor, *_: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.block, ctx.rows, ctx.grid = block, rows, grid
        products, norm, affine = block.text_query, block.block.cross_attn.norm_q, block.affine
        inputs, branch = products.operand(len(x)), block.own_out.forward(block.own_out.given(attended))
        total, *moments = normalise(
            x, affine.scale, affine.shift, grid.first, block.block.norm3.eps, inputs, branch, rows.gate
        )
        made = products.forward(inputs)
        query, deviation = rotate(made, norm.weight, norm.eps, None)
        ctx.save_for_backward(attended, total, *moments, inputs.wide, made, deviation)
        return total, query

    @staticmethod
    def backward(ctx: Any, residual: Tensor, above: Tensor) -> tuple[Tensor | None, ...]:
        attended, total, mean, deviation, wide, made, made_deviation = ctx.saved_tensors
        query, out, rows = ctx.block.text_query, ctx.block.own_out, len(total)
        gradient, branch, below = query.gradient(rows), out.gradient(rows), torch.empty_like(total)
        scale_backward(above, made, ctx.block.block.cross_attn.norm_q.weight, made_deviation, gradient)
        inner, query_parameters = query.backward(gradient, wide)
        normalise_backward(
            inner, residual, total, mean, deviation, ctx.block.affine.scale, ctx.grid.first, branch, ctx.rows.gate,
            below,
        )  # fmt: skip
        attended_gradient, parameters = out.backward(branch, out.widened(attended))
        return None, None, None, below, attended_gradient, *parameters, *query_parameters


class Text(torch.autograd.Function):
    """Key and value of the text; the text itself gets no gradient."""

    @staticmethod
    def forward(ctx: Any, block: Block, context: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        ctx.block = block
        products, norm = block.text, block.block.cross_attn.norm_k
        wide = context.new_empty((len(context), products.inner + products.room))
        wide[:, : products.inner].copy_(context)
        key, value = (made := products.forward(products.given(wide[:, : products.inner]))).chunk(2, 1)
        key, deviation = rotate(key, norm.weight, norm.eps, None)
        ctx.save_for_backward(wide, made, deviation)
        return key, value

    @staticmethod
    def backward(ctx: Any, *above: Tensor) -> tuple[Tensor | None, ...]:
        wide, made, deviation = ctx.saved_tensors
        products, norm = ctx.block.text, ctx.block.block.cross_attn.norm_k
        # No product is made of it, so it is not rounded.
        gradient = make_operand(made, len(made), products.outer, products.room)
        key, value = gradient.numbers.chunk(2, 1)
        scale_backward(above[0], made.chunk(2, 1)[0], norm.weight, deviation, Operand(key, key.shape[1]))
        value.copy_(above[1])
        return None, None, *products.gradients(gradient, wide)


class FeedForward(torch.autograd.Function):
    """From what a block's attention to the text gave to the block's output; ``again``: computed again for backward."""

    @staticmethod
    def forward(
        ctx: Any, block: Block, rows: Rows, grid: Grid, again: bool, x: Tensor, attended: Tensor, *_: Tensor
    ) -> Tensor:
        ctx.block, ctx.rows, ctx.grid = block, rows, grid
        branch = block.text_out.forward(block.text_out.given(attended))
        total, *kept, bent = _widened(ctx, x, branch)
        out = make_operand(x, *x.shape)
        gated(total, block.narrow.forward(bent), rows.gate, grid.first, out)
        ctx.save_for_backward(attended, total, *([] if again else [*kept, bent.wide]))
        return out.wide

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        attended, total, *kept = ctx.saved_tensors
        text, widen, narrow, rows = ctx.block.text_out, ctx.block.widen, ctx.block.narrow, len(total)
        if not kept:
            # Adding nothing runs the very kernel that ran before; another one might round otherwise.
            _, *kept, operand = _widened(ctx, total, torch.zeros_like(total[0]).expand_as(total))
            narrow.fill(operand)
            kept.append(operand.wide)
        mean, deviation, wide, inner, bent = kept
        last = narrow.gradient(rows)
        gated(None, above, ctx.rows.gate, ctx.grid.first, last)
        below, narrow_parameters = narrow.backward(last, bent)
        middle, out = widen.gradient(rows), text.gradient(rows)
        gelu_backward(below, inner, middle)
        below, widen_parameters = widen.backward(middle, wide)
        normalise_backward(below, above, total, mean, deviation, ctx.rows.scale, ctx.grid.first, out)
        attended_gradient, parameters = text.backward(out, text.widened(attended))
        parameters += widen_parameters + narrow_parameters
        return None, None, None, None, out.numbers, attended_gradient, *parameters


def _widened(ctx: Any, x: Tensor, branch: Tensor) -> tuple[Any, ...]:
    """Return ``x + branch``; mean and inverse deviation of its rows; input, output and GELU of the wide layer."""
    block, inputs = ctx.block, ctx.block.widen.operand(len(x))
    total, *moments = normalise(
        x, ctx.rows.scale, ctx.rows.shift, ctx.grid.first, block.block.norm2.eps, inputs, branch
    )
    inner, bent = block.widen.forward(inputs), block.narrow.operand(len(x))
    gelu(inner, bent)
    return total, *moments, inputs.wide, inner, bent


class Normalised(torch.autograd.Function):
    """Layer norm of ``x`` with a factor and an offset that need no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Rows, grid: Grid, epsilon: float) -> Tensor:
        """Return the normalised ``x``."""
        ctx.rows, ctx.grid = rows, grid
        out = make_operand(x, *x.shape)
        _, *moments = normalise(x, rows.scale, rows.shift, grid.first, epsilon, out)
        ctx.save_for_backward(x, *moments)
        return out.wide

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradient of ``x``."""
        x, mean, deviation = ctx.saved_tensors
        below = make_operand(x, *x.shape)
        normalise_backward(above, None, x, mean, deviation, ctx.rows.scale, ctx.grid.first, below)
        return below.wide, None, None, None
