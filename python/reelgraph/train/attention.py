"""Attention as training runs it; on Hopper cuDNN's, whose backward pass repeats to the bit when it is asked to.

torch calls cuDNN's backward pass without asking, and refuses it where results must repeat; cuDNN's own front end asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.nn import functional
from torch.nn.attention.flex_attention import flex_attention

Tensor = torch.Tensor
HEAD_CHANNELS = (64, 128)
# Where this was seen to repeat.
HOPPER = (9, 0)
# cuDNN writes a head's whole matrix of gradients down to add it up in order, so heads are taken a few at a time.
LARGEST_WORKSPACE = 2 << 30
# Of each tensor of a pass, the query first: name, shape and strides.
Layout = tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]


def choose_attention(weight: Tensor, head_channels: int, profile: str) -> str:
    """Return the fastest attention for a model of these weights on its device; under ``exact`` one that repeats.

    ``cudnn``: cuDNN's, added up in one order; ``free``: cuDNN's in any order; ``flex``: torch's flex_attention,
    compiled; ``torch``: torch's own choice in the mode that it is in.
    """
    if not weight.is_cuda or weight.dtype != torch.bfloat16 or head_channels not in HEAD_CHANNELS:
        return "torch"
    hopper = torch.cuda.get_device_capability(weight.device) == HOPPER
    if profile == "fast":
        return "free" if hopper else "torch"
    return "cudnn" if hopper else "flex"


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, kind: str, room: int = 0) -> Tensor:
    """Return attention [tokens, channels] of three such tensors; ``room`` numbers lie beside its rows in memory."""
    if kind in ("cudnn", "free"):
        return _CudnnAttention.apply(query, key, value, heads, kind == "cudnn", room)
    function = compiled_flex() if kind == "flex" else functional.scaled_dot_product_attention
    out = function(*(_by_head(part, heads) for part in (query, key, value)))
    return functional.pad(out[0].transpose(0, 1).flatten(1), (0, room))[:, : query.shape[1]]


@lru_cache
def compiled_flex() -> Callable[..., Tensor]:
    """Return flex_attention, compiled for each size by itself, so that a size's kernel is what it would be alone."""
    torch._dynamo.config.recompile_limit = 64
    return torch.compile(flex_attention, fullgraph=True, dynamic=False)


class _CudnnAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, heads: int, ordered: bool, room: int) -> Tensor:
        # Written where it is needed; torch's own call would leave the room to a copy.
        out = query.new_empty((query.shape[0], query.shape[1] + room))[:, : query.shape[1]]
        stats = query.new_empty((1, heads, query.shape[0], 1), dtype=torch.float32)
        given = {"q": query, "k": key, "v": value, "o": out}
        parts = {name: _by_head(tensor, heads) for name, tensor in given.items()} | {"stats": stats}
        _forward_plan(query.device.index, _layout(parts)).run(parts)
        ctx.save_for_backward(query, key, value, out, stats)
        ctx.heads, ctx.ordered = heads, ordered
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, out, stats = ctx.saved_tensors
        heads = ctx.heads
        made = {name: part.new_empty(part.shape) for name, part in (("dQ", query), ("dK", key), ("dV", value))}
        given = {"q": query, "k": key, "v": value, "o": out, "dO": gradient, **made}
        parts = {name: _by_head(tensor, heads) for name, tensor in given.items()} | {"stats": stats}
        few = heads_at_once(heads, query.shape[0] * key.shape[0]) if ctx.ordered else heads
        groups = [{name: part[:, n : n + few] for name, part in parts.items()} for n in range(0, heads, few)]
        plan = _backward_plan(query.device.index, _layout(groups[0]), ctx.ordered)
        for group in groups:
            plan.run(group)
        return *made.values(), None, None, None


def heads_at_once(heads: int, pairs: int) -> int:
    """Return how many of ``heads``, of ``pairs`` of query and key each, the workspace holds; they divide evenly."""
    return next((few for few in range(heads, 1, -1) if heads % few == 0 and few * pairs * 2 <= LARGEST_WORKSPACE), 1)


def _by_head(tensor: Tensor, heads: int) -> Tensor:
    return tensor.unflatten(1, (heads, -1))[None].transpose(1, 2)


@dataclass(frozen=True)
class _Plan:
    """A pass that cuDNN has planned for one layout: its graph, and the graph's tensors by name."""

    graph: Any
    tensors: Mapping[str, Any]
    handle: Any

    def run(self, tensors: Mapping[str, Tensor]) -> None:
        import cudnn

        cudnn.set_stream(handle=self.handle, stream=torch.cuda.current_stream().cuda_stream)
        workspace = torch.empty(self.graph.get_workspace_size(), device=tensors["q"].device, dtype=torch.uint8)
        self.graph.execute({self.tensors[name]: part for name, part in tensors.items()}, workspace, handle=self.handle)


def _layout(parts: Mapping[str, Tensor]) -> Layout:
    # cuDNN takes the statistics for those of a whole tensor.
    strides = {name: part.stride() for name, part in parts.items()}
    strides["stats"] = torch.empty(parts["stats"].shape, device="meta").stride()
    return tuple((name, tuple(part.shape), strides[name]) for name, part in parts.items())


@lru_cache
def _forward_plan(device: int, layout: Layout) -> _Plan:
    graph, handle, tensors = _declared(layout, ("q", "k", "v"))
    made = graph.sdpa(name="attention", **tensors, attn_scale=_scale(layout), generate_stats=True)
    return _planned(graph, handle, layout, tensors, dict(zip(("o", "stats"), made, strict=True)))


@lru_cache
def _backward_plan(device: int, layout: Layout, ordered: bool) -> _Plan:
    graph, handle, tensors = _declared(layout, ("q", "k", "v", "o", "dO", "stats"))
    made = graph.sdpa_backward(
        name="attention_backward", **tensors, attn_scale=_scale(layout), use_deterministic_algorithm=ordered
    )
    return _planned(graph, handle, layout, tensors, dict(zip(("dQ", "dK", "dV"), made, strict=True)))


def _scale(layout: Layout) -> float:
    return layout[0][1][3] ** -0.5


def _declared(layout: Layout, inputs: Sequence[str]) -> tuple[Any, Any, dict[str, Any]]:
    # Only a machine with a GPU can load it.
    import cudnn

    handle, types = cudnn.create_handle(), cudnn.data_type
    graph = cudnn.pygraph(
        io_data_type=types.BFLOAT16, intermediate_data_type=types.FLOAT, compute_data_type=types.FLOAT, handle=handle
    )
    tensors = {}
    for name, shape, strides in layout:
        if name in inputs:
            kind = {"data_type": types.FLOAT} if name == "stats" else {}
            tensors[name] = graph.tensor(name=name, dim=list(shape), stride=list(strides), **kind)
    return graph, handle, tensors


def _planned(graph: Any, handle: Any, layout: Layout, tensors: Mapping[str, Any], made: Mapping[str, Any]) -> _Plan:
    import cudnn

    for name, shape, strides in layout:
        if name in made:
            made[name].set_output(True).set_dim(list(shape)).set_stride(list(strides))
    if "stats" in made:
        made["stats"].set_data_type(cudnn.data_type.FLOAT)
    graph.build([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
    return _Plan(graph, {**tensors, **made}, handle)
