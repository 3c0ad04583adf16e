"""Wan's transformer as training runs it: diffsynth's weights and arithmetic, without what costs time or exactness.

Against diffsynth's own forward pass: the modulation is kept as two rows (first frame, the rest) instead of one a token,
rotary positions are real float32 instead of complex float64, attention on CUDA has a backward pass that repeats to the
bit and is fast, and each half of a block is compiled once and recomputed at will.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch
from diffsynth.models.wan_video_dit import DiTBlock, WanModel, sinusoidal_embedding_1d
from torch.nn import functional
from torch.nn.attention.flex_attention import flex_attention
from torch.utils.checkpoint import checkpoint

from reelgraph.train.attention import attention
from reelgraph.train.lora import project

Tensor = torch.Tensor


@dataclass(frozen=True)
class Grid:
    """What depends on a clip's size alone: its tokens' rotations, and which tokens are of the first frame."""

    cosine: Tensor
    sine: Tensor
    first: Tensor


@dataclass(frozen=True)
class Transformer:
    """A Wan transformer and how to run it.

    ``attention``: ``torch``, ``cudnn`` or ``flex``, see `exact_attention`; ``compiled``: through torch.compile;
    ``recompute``: what of a block is computed again in the backward pass, ``none``, ``feed-forward`` or ``full``,
    to the same bytes.
    """

    dit: WanModel
    attention: str = "torch"
    compiled: bool = False
    recompute: str = "none"
    _grids: dict[tuple[int, int, int], Grid] = field(default_factory=dict)

    def predict(
        self, latents: Tensor, context: Tensor, timestep: Tensor, given: bool, condition: Tensor | None = None
    ) -> Tensor:
        """Return the velocity of ``latents`` [1, channels, frames, height, width] at ``timestep`` [1], a float32.

        ``context`` is [1, tokens, channels]. With ``given`` the first latent frame is clean, at timestep 0.
        ``condition`` is what Wan2.2-I2V-A14B sees beside the latents, [1, 20, frames, height, width].
        """
        dit, dtype = self.dit, latents.dtype
        # Row 0 is for the first frame's tokens, row 1 for all others.
        rows = torch.cat([torch.zeros_like(timestep) if given else timestep, timestep])
        time = dit.time_embedding(sinusoidal_embedding_1d(dit.freq_dim, rows).to(dtype))
        modulation = dit.time_projection(time).unflatten(1, (6, dit.dim))
        context = dit.text_embedding(context)
        x = dit.patchify(latents if condition is None else torch.cat([latents, condition], dim=1))
        shape = tuple(x.shape[2:])
        grid = self._grid(shape)
        # One compiled graph serves all blocks only if the first one's input wants a gradient too.
        x = x.flatten(2).transpose(1, 2).contiguous().detach()
        x.requires_grad_(torch.is_grad_enabled())
        halves = _compiled_halves() if self.compiled else (attention_half, feed_forward_half)
        for block in dit.blocks:
            if self.recompute == "full" and torch.is_grad_enabled():
                x = checkpoint(_whole, halves, block, x, context, modulation, grid, self.attention, **CHECKPOINT)
            else:
                x = halves[0](block, x, context, modulation, grid.cosine, grid.sine, grid.first, self.attention)
                if self.recompute == "feed-forward" and torch.is_grad_enabled():
                    x = checkpoint(halves[1], block, x, modulation, grid.first, **CHECKPOINT)
                else:
                    x = halves[1](block, x, modulation, grid.first)
        shift, scale = (dit.head.modulation + time[:, None]).unsqueeze(0).unbind(2)
        first = grid.first[None, :, None]
        x = modulate(dit.head.norm(x), _select(first, shift), _select(first, scale))
        return dit.unpatchify(dit.head.head(x), shape)

    def _grid(self, shape: tuple[int, int, int]) -> Grid:
        if shape not in self._grids:
            self._grids[shape] = make_grid(self.dit, shape)
        return self._grids[shape]


CHECKPOINT: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}


def make_grid(dit: WanModel, shape: tuple[int, int, int]) -> Grid:
    """Return the grid of a clip of ``shape`` (frames, height, width in tokens)."""
    device = next(dit.parameters()).device
    frames, height, width = shape
    tokens = frames * height * width
    rotation = torch.cat(
        [
            dit.freqs[0][:frames].view(frames, 1, 1, -1).expand(*shape, -1),
            dit.freqs[1][:height].view(1, height, 1, -1).expand(*shape, -1),
            dit.freqs[2][:width].view(1, 1, width, -1).expand(*shape, -1),
        ],
        dim=-1,
    ).reshape(tokens, 1, -1)
    cosine, sine = (part.float().to(device) for part in (rotation.real, rotation.imag))
    return Grid(cosine, sine, torch.arange(tokens, device=device) < height * width)


def attention_half(
    block: DiTBlock,
    x: Tensor,
    context: Tensor,
    modulation: Tensor,
    cosine: Tensor,
    sine: Tensor,
    first: Tensor,
    kind: str,
) -> Tensor:
    """Return ``x`` [1, tokens, channels] after a block's two attentions."""
    shift, scale, gate = _rows(block, modulation, first, slice(0, 3))
    inputs, own, text = modulate(block.norm1(x), shift, scale), block.self_attn, block.cross_attn
    query, key, value = project(inputs, own.q, own.k, own.v)
    query = rotate(_heads(own.norm_q(query), own.num_heads), cosine, sine)
    key = rotate(_heads(own.norm_k(key), own.num_heads), cosine, sine)
    value = _heads(value, own.num_heads)
    x = x + gate * own.o(_attend(query, key, value, kind))
    query = _heads(text.norm_q(text.q(block.norm3(x))), text.num_heads)
    key, value = project(context, text.k, text.v)
    key, value = _heads(text.norm_k(key), text.num_heads), _heads(value, text.num_heads)
    return x + text.o(_attend(query, key, value, kind))


def feed_forward_half(block: DiTBlock, x: Tensor, modulation: Tensor, first: Tensor) -> Tensor:
    """Return ``x`` [1, tokens, channels] after a block's feed-forward part."""
    shift, scale, gate = _rows(block, modulation, first, slice(3, 6))
    return x + gate * block.ffn(modulate(block.norm2(x), shift, scale))


def _attend(query: Tensor, key: Tensor, value: Tensor, kind: str) -> Tensor:
    if kind == "cudnn":
        return attention(query, key, value)[0].flatten(2)
    attend = flex_attention if kind == "flex" else functional.scaled_dot_product_attention
    return attend(*(part.transpose(1, 2) for part in (query, key, value))).transpose(1, 2).flatten(2)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return ``x`` [1, tokens, heads, channels] with each pair of channels turned by its token's angle."""
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    pairs = torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)
    return pairs.flatten(-2).to(x.dtype)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return ``x`` scaled and shifted as its timestep says."""
    return x * (1 + scale) + shift


def _rows(block: DiTBlock, modulation: Tensor, first: Tensor, part: slice) -> list[Tensor]:
    rows = (block.modulation.to(modulation.dtype) + modulation)[:, part].unsqueeze(0)
    return [_select(first[None, :, None], row) for row in rows.unbind(2)]


def _select(first: Tensor, rows: Tensor) -> Tensor:
    return torch.where(first, rows[:, 0:1], rows[:, 1:2])


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(2, (heads, -1))


def _whole(
    halves: tuple[Callable[..., Tensor], Callable[..., Tensor]],
    block: DiTBlock,
    x: Tensor,
    context: Tensor,
    modulation: Tensor,
    grid: Grid,
    kind: str,
) -> Tensor:
    x = halves[0](block, x, context, modulation, grid.cosine, grid.sine, grid.first, kind)
    return halves[1](block, x, modulation, grid.first)


@lru_cache
def _compiled_halves() -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    # Every size of clip is compiled for itself, so that each size's kernels are what they would be alone.
    torch._dynamo.config.recompile_limit = 64
    options: dict[str, Any] = {"fullgraph": True, "dynamic": False}
    return torch.compile(attention_half, **options), torch.compile(feed_forward_half, **options)
