"""Wan's transformer as training runs it: diffsynth's weights and arithmetic, without what costs time or exactness.

Against diffsynth's own forward pass: the modulation is kept as two rows (first frame, the rest) instead of one a token,
rotary positions are real float32 instead of complex float64, what a block keeps is computed again at will, and on CUDA
the blocks are `fused`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from diffsynth.models.wan_video_dit import DiTBlock, WanModel, sinusoidal_embedding_1d
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from reelgraph.train.lora import project

if TYPE_CHECKING:
    from reelgraph.train.fused import FusedBlocks

Tensor = torch.Tensor
CHECKPOINT: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}


@dataclass(frozen=True)
class Grid:
    """What depends on a clip's size alone: its tokens' rotations, and how many tokens are of the first frame.

    ``angles`` are cosines and sines, [tokens, half of a head's channels] float32.
    """

    angles: tuple[Tensor, Tensor]
    first: int

    def select(self, rows: Tensor) -> Tensor:
        """Return for each token its row of ``rows`` [1, 2, channels]: the first frame's, or that of all others."""
        tokens = torch.arange(len(self.angles[0]), device=rows.device)[None, :, None]
        return torch.where(tokens < self.first, rows[:, 0:1], rows[:, 1:2])


@dataclass(frozen=True)
class Transformer:
    """A Wan transformer and how to run it.

    ``recompute``: what of a block is computed again in the backward pass, ``none``, ``feed-forward`` or ``full``, to
    the same bytes; ``fused``: its blocks for CUDA, if any, with that ``attention``, see `choose_attention`.
    """

    dit: WanModel
    recompute: str = "none"
    fused: FusedBlocks | None = None
    attention: str = "torch"
    _grids: dict[tuple[int, int, int], Grid] = field(default_factory=dict)

    def predict(
        self,
        latents: Tensor,
        context: Tensor,
        counts: Tensor,
        timestep: Tensor,
        given: bool,
        condition: Tensor | None = None,
    ) -> Tensor:
        """Return the velocity of ``latents`` [1, channels, frames, height, width] at ``timestep`` [1], a float32.

        ``context`` is [1, tokens, channels], of which each token counts as often as ``counts`` [1, tokens] says. With
        ``given`` the first latent frame is clean, at timestep 0. ``condition`` is what Wan2.2-I2V-A14B sees beside the
        latents, [1, 20, frames, height, width].
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
        x = x.flatten(2).transpose(1, 2).contiguous()
        if self.fused is not None:
            inputs = x[0], context[0], counts[0], modulation, time
            x = self.fused.run(*inputs, grid, self.attention, self.recompute)[None]
        else:
            x = self._run(x, context, counts.log().to(x.dtype), modulation, time, grid)
        return dit.unpatchify(dit.head.head(x), shape)

    def _run(self, x: Tensor, context: Tensor, bias: Tensor, modulation: Tensor, time: Tensor, grid: Grid) -> Tensor:
        again = torch.is_grad_enabled()
        for block in self.dit.blocks:
            if self.recompute == "full" and again:
                x = checkpoint(whole_block, block, x, context, bias, modulation, grid, **CHECKPOINT)
            elif self.recompute == "feed-forward" and again:
                x = attention_half(block, x, context, bias, modulation, grid)
                x = checkpoint(feed_forward_half, block, x, modulation, grid, **CHECKPOINT)
            else:
                x = whole_block(block, x, context, bias, modulation, grid)
        head = self.dit.head
        shift, scale = (head.modulation + time[:, None]).unsqueeze(0).unbind(2)
        return modulate(head.norm(x), grid.select(shift), grid.select(scale))

    def _grid(self, shape: tuple[int, int, int]) -> Grid:
        if shape not in self._grids:
            self._grids[shape] = make_grid(self.dit, shape)
        return self._grids[shape]


def make_grid(dit: WanModel, shape: tuple[int, int, int]) -> Grid:
    """Return the grid of a clip of ``shape`` (frames, height, width in tokens)."""
    device = next(dit.parameters()).device
    frames, height, width = shape
    rotation = torch.cat(
        [
            dit.freqs[0][:frames].view(frames, 1, 1, -1).expand(*shape, -1),
            dit.freqs[1][:height].view(1, height, 1, -1).expand(*shape, -1),
            dit.freqs[2][:width].view(1, 1, width, -1).expand(*shape, -1),
        ],
        dim=-1,
    ).flatten(0, 2)
    return Grid((rotation.real.float().to(device), rotation.imag.float().to(device)), height * width)


def whole_block(block: DiTBlock, x: Tensor, context: Tensor, bias: Tensor, modulation: Tensor, grid: Grid) -> Tensor:
    """Return ``x`` [1, tokens, channels] after a block; ``bias`` [1, text tokens] is added to the text's scores."""
    return feed_forward_half(block, attention_half(block, x, context, bias, modulation, grid), modulation, grid)


def attention_half(block: DiTBlock, x: Tensor, context: Tensor, bias: Tensor, modulation: Tensor, grid: Grid) -> Tensor:
    """Return ``x`` [1, tokens, channels] after a block's two attentions."""
    shift, scale, gate = _rows(block, modulation, grid, slice(0, 3))
    inputs, own, text = modulate(block.norm1(x), shift, scale), block.self_attn, block.cross_attn
    query, key, value = project(inputs, own.q, own.k, own.v)
    query = rotate(_heads(own.norm_q(query), own.num_heads), *grid.angles)
    key = rotate(_heads(own.norm_k(key), own.num_heads), *grid.angles)
    value = _heads(value, own.num_heads)
    x = x + gate * own.o(_attend(query, key, value))
    query = _heads(text.norm_q(text.q(block.norm3(x))), text.num_heads)
    key, value = project(context, text.k, text.v)
    key, value = _heads(text.norm_k(key), text.num_heads), _heads(value, text.num_heads)
    return x + text.o(_attend(query, key, value, bias))


def feed_forward_half(block: DiTBlock, x: Tensor, modulation: Tensor, grid: Grid) -> Tensor:
    """Return ``x`` [1, tokens, channels] after a block's feed-forward part."""
    shift, scale, gate = _rows(block, modulation, grid, slice(3, 6))
    return x + gate * block.ffn(modulate(block.norm2(x), shift, scale))


def _attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    parts = (part.transpose(1, 2) for part in (query, key, value))
    return functional.scaled_dot_product_attention(*parts, attn_mask=bias).transpose(1, 2).flatten(2)


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return ``x`` [1, tokens, heads, channels] with each pair of channels turned by its token's angle."""
    real, imaginary = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = cosine[:, None], sine[:, None]
    pairs = torch.stack([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=-1)
    return pairs.flatten(-2).to(x.dtype)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return ``x`` scaled and shifted as its timestep says."""
    return x * (1 + scale) + shift


def _rows(block: DiTBlock, modulation: Tensor, grid: Grid, part: slice) -> list[Tensor]:
    rows = (block.modulation.to(modulation.dtype) + modulation)[:, part].unsqueeze(0)
    return [grid.select(row) for row in rows.unbind(2)]


def _heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(2, (heads, -1))
