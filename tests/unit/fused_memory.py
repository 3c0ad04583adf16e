"""Prints as JSON what a full-size Wan block keeps for its backward pass, bytes a token and channel, by recomputation.

Nothing is computed: tensors have no memory, kernels do nothing, and attention only allocates what cuDNN's does.
"""

from __future__ import annotations

import json
import weakref
from typing import Any

import torch
from diffsynth.models.wan_video_dit import WanModel
from fused_probe import MODES, SMALL
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reelgraph.train import fused, lora_kernels, norm_kernels, pointwise_kernels, rotation_kernels, text_attention
from reelgraph.train.lora import TARGET_LAYERS, LoraLinear
from reelgraph.train.transformer import Grid

Tensor = torch.Tensor
CHANNELS, HEADS, RANK = 3072, 24, 16
FULL_SIZE = {**SMALL, "dim": CHANNELS, "ffn_dim": 14336, "num_heads": HEADS}


class Nothing:
    """Stands for a kernel: launching it does nothing."""

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *arguments, **options: None


class Attention(torch.autograd.Function):
    """Keeps what `attention._CudnnAttention` keeps."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, heads: int, kind: str, room: int) -> Tensor:
        out = query.new_empty((query.shape[0], query.shape[1] + room))[:, : query.shape[1]]
        sums = query.new_empty((1, heads, query.shape[0], 1), dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, sums)
        return out


class Held(TorchDispatchMode):
    """Counts the bytes of all tensors that operations made and that are still there."""

    def __init__(self) -> None:
        super().__init__()
        self.storages: dict[int, int] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        made = operation(*arguments, **(options or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.storages:
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.storages.pop, storage._cdata)
        return made


def held(mode: str, blocks: int, tokens: int) -> int:
    """Return the bytes that are held after the forward pass of ``blocks`` on a clip of ``tokens``."""
    with torch.device("meta"):
        torch.set_default_dtype(torch.bfloat16)
        dit = WanModel(**{**FULL_SIZE, "num_layers": blocks}).requires_grad_(False)
        torch.set_default_dtype(torch.float32)
        for block in dit.blocks:
            for layer in TARGET_LAYERS:
                parent, _, name = layer.rpartition(".")
                owner = block.get_submodule(parent)
                setattr(owner, name, LoraLinear(owner.get_submodule(name), RANK))
        all_blocks = fused.fuse_blocks(dit)
        angles = torch.empty(tokens, CHANNELS // HEADS // 2), torch.empty(tokens, CHANNELS // HEADS // 2)
        shapes = (tokens, CHANNELS), (512, CHANNELS), (512,), (2, 6, CHANNELS), (2, CHANNELS)
        inputs = [torch.empty(shape, dtype=torch.bfloat16) for shape in shapes]
        with Held() as tensors:
            prediction = all_blocks.run(*inputs, Grid(angles, tokens // 21), "cudnn", mode)
            assert prediction.requires_grad
            return sum(tensors.storages.values())


def kept(mode: str) -> float:
    """Return what one block keeps, bytes a token and channel."""
    one, many = (held(mode, blocks, 2048) - held(mode, blocks, 1024) for blocks in (2, 4))
    return (many - one) / 2 / 1024 / CHANNELS


if __name__ == "__main__":
    fused.attend = Attention.apply
    for module in (lora_kernels, norm_kernels, pointwise_kernels, rotation_kernels, text_attention):
        for name in [name for name, value in vars(module).items() if hasattr(value, "arg_names")]:
            setattr(module, name, Nothing())
    print(json.dumps({mode: kept(mode) for mode in MODES}))
