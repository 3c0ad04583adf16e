"""A Wan transformer's blocks as they run on CUDA, see `fused_parts`; to the same bytes whatever is computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from diffsynth.models.wan_video_dit import WanModel
from torch.utils.checkpoint import checkpoint

from reelgraph.train.attention import attend
from reelgraph.train.fused_parts import Between, FeedForward, Normalised, Own, Text
from reelgraph.train.fused_weights import Block, Rows, fuse
from reelgraph.train.lora_kernels import Copies, plan_copies
from reelgraph.train.text_attention import attend_text
from reelgraph.train.transformer import CHECKPOINT, Grid

Tensor = torch.Tensor


@dataclass(frozen=True)
class FusedBlocks:
    """All of a transformer's blocks, how their LoRA gets into their products, and the transformer's last norm."""

    blocks: Sequence[Block]
    copies: Copies
    tables: Tensor
    head_table: Tensor
    head_epsilon: float

    def run(
        self,
        x: Tensor,
        context: Tensor,
        counts: Tensor,
        modulation: Tensor,
        time: Tensor,
        grid: Grid,
        attention: str,
        recompute: str,
    ) -> Tensor:
        """Return what goes into the transformer's last layer.

        Each token of ``context`` counts as often as ``counts`` says, see `pad_context`. ``modulation`` [2, 6, channels]
        and ``time`` [2, channels] are of the first frame's tokens and of all others.
        """
        with torch.no_grad():
            self.copies.run()
            tables = (self.tables + modulation).float()
            tables[:, :, 1::3] += 1
            bias = counts.log2()
            head = (self.head_table + time[:, None]).float()
            head[:, 1] += 1
        for block, table in zip(self.blocks, tables, strict=True):
            shift, scale, gate, wide_shift, wide_scale, wide_gate = table.unbind(1)
            rows = Rows(scale, shift, gate), Rows(wide_scale, wide_shift, wide_gate)
            if recompute == "full" and torch.is_grad_enabled():
                x = checkpoint(run_block, block, x, context, bias, rows, grid, attention, False, **CHECKPOINT)
            else:
                x = run_block(block, x, context, bias, rows, grid, attention, recompute == "feed-forward")
        return Normalised.apply(x, Rows(head[:, 1], head[:, 0], None), grid, self.head_epsilon)


def fuse_blocks(dit: WanModel, small: bool = False) -> FusedBlocks:
    """Move the weights of all blocks of ``dit``, which carry a LoRA, into products; ``small`` in eight bits."""
    blocks = [fuse(block, small) for block in dit.blocks]
    dtype = dit.patch_embedding.weight.dtype
    tables = torch.stack([block.modulation.detach().to(dtype) for block in dit.blocks])
    copies = plan_copies([products for block in blocks for products in block.products])
    return FusedBlocks(blocks, copies, tables, dit.head.modulation.detach().to(dtype), dit.head.norm.eps)


def run_block(
    block: Block,
    x: Tensor,
    context: Tensor,
    bias: Tensor,
    rows: tuple[Rows, Rows],
    grid: Grid,
    attention: str,
    again: bool,
) -> Tensor:
    """Return ``x`` [tokens, channels] after a block; ``again``: the feed-forward part is computed again for backward.

    ``rows`` are those of the first norm and of the last.
    """
    heads = block.block.self_attn.num_heads
    x, query, key, value = Own.apply(block, rows[0], grid, x, *block.own.parameters)
    attended = attend(query, key, value, heads, attention, block.own_out.room)
    parameters = block.own_out.parameters + block.text_query.parameters
    x, query = Between.apply(block, rows[0], grid, x, attended, *parameters)
    key, value = Text.apply(block, context, *block.text.parameters)
    attended = attend_text(query, key, value, bias, heads, block.text_out.room)
    parameters = block.text_out.parameters + block.widen.parameters + block.narrow.parameters
    return FeedForward.apply(block, rows[1], grid, again, x, attended, *parameters)
