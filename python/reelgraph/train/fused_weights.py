"""What a fused Wan block computes with: its weights as products, and its norms' factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from diffsynth.models.wan_video_dit import DiTBlock

from reelgraph.train.products import Products, join

Tensor = torch.Tensor


@dataclass(frozen=True)
class Rows:
    """A norm's factor and offset, float32 and [2, channels]: for the first frame's tokens, and for all others.

    ``gate`` is by how much what a block adds counts.
    """

    scale: Tensor
    shift: Tensor
    gate: Tensor | None


@dataclass(frozen=True)
class Block:
    """A block's weights as products, by the input that they share."""

    block: DiTBlock
    own: Products
    own_out: Products
    text: Products
    text_query: Products
    text_out: Products
    widen: Products
    narrow: Products

    @property
    def products(self) -> Sequence[Products]:
        """Return all of them."""
        return self.own, self.own_out, self.text, self.text_query, self.text_out, self.widen, self.narrow

    @cached_property
    def affine(self) -> Rows:
        """The norm before the text: it has weights of its own, one row for all tokens."""
        norm = self.block.norm3
        return Rows(*(part.detach().float().expand(2, -1) for part in (norm.weight, norm.bias)), None)


def fuse(block: DiTBlock, small: bool) -> Block:
    """Move a block's weights into products, ``small`` in eight bits; the block itself computes as before."""
    own, text = block.self_attn, block.cross_attn
    groups = ((own.q, own.k, own.v), (own.o,), (text.k, text.v), (text.q,), (text.o,), (block.ffn[0],), (block.ffn[2],))
    return Block(block, *(join(*group, small=small) for group in groups))
