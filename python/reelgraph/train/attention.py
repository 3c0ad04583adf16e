"""Exact attention on CUDA: cuDNN's, whose backward pass repeats to the bit when it is asked to.

torch calls cuDNN's backward pass without asking, and refuses it where results must repeat; cuDNN's own front end asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

Tensor = torch.Tensor
HEAD_CHANNELS = (64, 128)
# Where this was seen to repeat.
HOPPER = (9, 0)
# cuDNN writes a head's whole matrix of gradients down to add it up in order, so heads are taken a few at a time.
LARGEST_WORKSPACE = 2 << 30


def exact_attention(weight: Tensor, head_channels: int) -> str:
    """Return which attention repeats to the bit and is fast for a model of these weights on its CUDA device.

    ``cudnn``: this module's; ``flex``: torch's flex_attention, compiled; ``torch``: its own choice in strict mode.
    """
    if weight.dtype != torch.bfloat16 or head_channels not in HEAD_CHANNELS:
        return "torch"
    return "cudnn" if torch.cuda.get_device_capability(weight.device) == HOPPER else "flex"


@torch.library.custom_op("reelgraph::attention", mutates_args=())
def attention(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return attention [1, tokens, heads, channels] bfloat16, and log-sum-exp [1, heads, tokens, 1] float32."""
    parts = (part.transpose(1, 2) for part in (query, key, value))
    out, logsumexp = torch.ops.aten._scaled_dot_product_cudnn_attention(*parts, None, True)[:2]
    return out.transpose(1, 2).contiguous(), logsumexp.view(1, query.shape[2], query.shape[1], 1).contiguous()


@attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    rows = query.new_empty((1, query.shape[2], query.shape[1], 1), dtype=torch.float32)
    return query.new_empty(query.shape), rows


@torch.library.custom_op("reelgraph::attention_backward", mutates_args=())
def attention_backward(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, logsumexp: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of query, key and value, [1, tokens, heads, channels]."""
    given = {"q": query, "k": key, "v": value, "o": out, "dO": gradient}
    given = {name: tensor.contiguous().transpose(1, 2) for name, tensor in given.items()}
    given["stats"] = logsumexp
    gradients = tuple(torch.empty_like(given[name]) for name in ("q", "k", "v"))
    heads = heads_at_once(query.shape[2], query.shape[1] * key.shape[1])
    plan = _plan(query.device.index, tuple(query.shape), key.shape[1], heads)
    for first in range(0, query.shape[2], heads):
        few = slice(first, first + heads)
        plan.run({name: part[:, few] for name, part in given.items()}, tuple(part[:, few] for part in gradients))
    return tuple(part.transpose(1, 2) for part in gradients)


def heads_at_once(heads: int, pairs: int) -> int:
    """Return how many of ``heads``, of ``pairs`` of query and key each, the workspace holds; they divide evenly."""
    return next((few for few in range(heads, 1, -1) if heads % few == 0 and few * pairs * 2 <= LARGEST_WORKSPACE), 1)


@attention_backward.register_fake
def _(
    gradient: Tensor, query: Tensor, key: Tensor, value: Tensor, out: Tensor, logsumexp: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


@dataclass(frozen=True)
class _Plan:
    """A backward pass that cuDNN has planned for one shape: its graph, and the graph's tensors."""

    graph: Any
    inputs: Mapping[str, Any]
    outputs: tuple[Any, ...]
    handle: Any

    def run(self, inputs: Mapping[str, Tensor], outputs: tuple[Tensor, ...]) -> None:
        import cudnn

        cudnn.set_stream(handle=self.handle, stream=torch.cuda.current_stream().cuda_stream)
        workspace = torch.empty(self.graph.get_workspace_size(), device=outputs[0].device, dtype=torch.uint8)
        tensors = {self.inputs[name]: tensor for name, tensor in inputs.items()}
        tensors |= dict(zip(self.outputs, outputs, strict=True))
        self.graph.execute(tensors, workspace, handle=self.handle)


@lru_cache
def _plan(device: int, shape: tuple[int, int, int, int], keys: int, few: int) -> _Plan:
    # Only a machine with a GPU can load it.
    import cudnn

    handle = cudnn.create_handle()
    kinds = {"io_data_type": cudnn.data_type.BFLOAT16, "intermediate_data_type": cudnn.data_type.FLOAT}
    graph = cudnn.pygraph(**kinds, compute_data_type=cudnn.data_type.FLOAT, handle=handle)
    _, tokens, heads, channels = shape

    def sizes(rows: int) -> dict[str, list[int]]:
        row = heads * channels
        return {"dim": [1, few, rows, channels], "stride": [rows * row, channels, row, 1]}

    rows = {"q": tokens, "k": keys, "v": keys, "o": tokens, "dO": tokens}
    inputs = {name: graph.tensor(name=name, **sizes(count)) for name, count in rows.items()}
    inputs["stats"] = graph.tensor(
        name="stats",
        dim=[1, few, tokens, 1],
        stride=[few * tokens, tokens, 1, 1],
        data_type=cudnn.data_type.FLOAT,
    )
    outputs = graph.sdpa_backward(
        name="attention_backward", **inputs, attn_scale=channels**-0.5, use_deterministic_algorithm=True
    )
    for output, count in zip(outputs, (tokens, keys, keys), strict=True):
        output.set_output(True).set_dim(sizes(count)["dim"]).set_stride(sizes(count)["stride"])
    graph.build([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    return _Plan(graph, inputs, tuple(outputs), handle)


def _keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output)


def _backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor, _: Tensor) -> tuple[Tensor, ...]:
    return attention_backward(gradient, *ctx.saved_tensors)


attention.register_autograd(_backward, setup_context=_keep)
