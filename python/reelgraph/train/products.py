"""Frozen linear layers and their LoRA as one matrix each, so that one product does both.

Layers that share an input stand below each other, and the LoRA in more columns and rows of the same storage:

    [ W  B ]      forward   [x h] times the upper rows, where h is x times A
    [ A  0 ]      backward  [g k] times the left columns, where k is g times B

So neither pass reads and writes a large result again to add the LoRA's part, and W is held once. Whoever writes ``x``
or ``g`` leaves ``room`` columns to its right, which are filled here, before a product or alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from reelgraph.train.eight_bits import EightBits, eight_bits, round_rows
from reelgraph.train.lora import LoraLinear
from reelgraph.train.operands import Operand, around, make_operand

Tensor = torch.Tensor
# A row's length in memory must divide by 16 bytes for the fast products.
RANK_STEP = 16


@dataclass(frozen=True)
class Products:
    """Layers that share an input: their ``matrix``, ``bias``, and where each one's LoRA goes in.

    ``inner`` and ``outer`` are the numbers of input channels and of all output channels, ``room`` that of the LoRA's.
    With ``eight``, one for the forward and one for the backward pass, products are made of these instead.
    """

    layers: Sequence[LoraLinear]
    matrix: Tensor
    bias: Tensor
    inner: int
    outer: int
    room: int
    eight: tuple[EightBits, EightBits] | None = None

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Return every layer's A, then every layer's B."""
        return [layer.lora_A.weight for layer in self.layers] + [layer.lora_B.weight for layer in self.layers]

    def places(self) -> list[tuple[LoraLinear, slice, slice]]:
        """Return each layer with its output channels and its LoRA's channels."""
        places, above, each = [], 0, self.room // len(self.layers)
        for n, layer in enumerate(self.layers):
            rows = slice(above, above + layer.base.out_features)
            places.append((layer, rows, slice(n * each, n * each + layer.lora_A.out_features)))
            above = rows.stop
        return places

    def operand(self, rows: int) -> Operand:
        """Return an operand for the forward pass, without numbers yet."""
        return make_operand(self.matrix, rows, self.inner, self.room, self.eight is not None)

    def gradient(self, rows: int) -> Operand:
        """Return an operand for the backward pass, without numbers yet."""
        return make_operand(self.matrix, rows, self.outer, self.room, self.eight is not None)

    def widened(self, x: Tensor) -> Tensor:
        """Return ``x`` [tokens, inner], whose rows have room beside them in memory, with that room."""
        assert x.stride() == (self.inner + self.room, 1)
        return x.as_strided((x.shape[0], self.inner + self.room), x.stride())

    def given(self, x: Tensor) -> Operand:
        """Return ``x`` [tokens, inner], whose rows have room beside them in memory, as an operand."""
        operand = around(self.widened(x), self.inner, self.room, self.eight is not None)
        if self.eight is not None:
            round_rows(operand)
        return operand

    def fill(self, x: Operand) -> None:
        """Fill the room of ``x``."""
        # Whoever keeps ``x`` for a backward pass of his own keeps the columns beside the room.
        down = self.matrix[self.outer :, : self.inner].T
        torch.mm(x.numbers, down, out=x.wide.data[:, self.inner :])

    def forward(self, x: Operand) -> Tensor:
        """Return the layers' outputs beside each other for ``x``, whose room is filled."""
        self.fill(x)
        if self.eight is not None:
            return self.eight[0].times(x, self.bias)
        return torch.addmm(self.bias, x.wide, self.matrix[: self.outer].T)

    def backward(self, gradient: Operand, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the gradient of ``x`` [tokens, inner] for that of the outputs, whose room is filled, and `gradients`.

        The room of ``x`` [tokens, inner + room] is filled already.
        """
        self._fill_gradient(gradient)
        with beside(gradient.wide) as join:
            parameters = self._gradients(gradient.wide, x)
        if self.eight is not None:
            below = self.eight[1].times(gradient)
        else:
            below = torch.mm(gradient.wide, self.matrix[:, : self.inner])
        join()
        return below, parameters

    def gradients(self, gradient: Operand, x: Tensor) -> list[Tensor]:
        """Return the gradients of `parameters`, where nobody asks for that of ``x``; else see `backward`."""
        self._fill_gradient(gradient)
        return self._gradients(gradient.wide, x)

    def _fill_gradient(self, gradient: Operand) -> None:
        up = self.matrix[: self.outer, self.inner :]
        torch.mm(gradient.numbers, up, out=gradient.wide[:, self.outer :])

    def _gradients(self, gradient: Tensor, x: Tensor) -> list[Tensor]:
        down = _product(gradient[:, self.outer :].T, x[:, : self.inner])
        up = _product(gradient[:, : self.outer].T, x[:, self.inner :])
        places = self.places()
        return [down[columns] for _, _, columns in places] + [up[rows, columns] for _, rows, columns in places]


@contextmanager
def beside(tensor: Tensor) -> Iterator[Callable[[], None]]:
    """Run what is inside beside what is launched next on the tensor's GPU, until what it yields is called.

    What is inside reads memory rather than computing, and has no part in the next product; so that costs little more.
    """
    if not tensor.is_cuda:
        yield lambda: None
        return
    main, side = torch.cuda.current_stream(tensor.device), _side_stream(tensor.device)
    side.wait_stream(main)
    with torch.cuda.stream(side):
        yield lambda: main.wait_stream(side)


@lru_cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """Return a product in float32, as it is summed."""
    # On a CPU, where numbers are float32 already, torch knows no other type for a result.
    return torch.mm(left, right, out_dtype=torch.float32) if left.is_cuda else torch.mm(left, right)


def join(*layers: LoraLinear, small: bool = False) -> Products:
    """Move the weights of ``layers`` into one matrix; the layers keep them as views of it.

    With ``small`` what is computed with are the same weights in eight bits.
    """
    bases = [layer.base for layer in layers]
    ranks = {layer.lora_A.out_features for layer in layers}
    (inner,), (rank,) = {base.in_features for base in bases}, ranks
    outer, room = sum(base.out_features for base in bases), -(-rank // RANK_STEP) * RANK_STEP * len(layers)
    matrix = bases[0].weight.new_zeros((outer + room, inner + room))
    bias = bases[0].weight.new_zeros(outer)
    products = Products(layers, matrix, bias, inner, outer, room)
    for layer, rows, _ in products.places():
        base = layer.base
        matrix[rows, :inner].copy_(base.weight)
        base.weight.data = matrix[rows, :inner]
        if base.bias is not None:
            bias[rows].copy_(base.bias)
    if not small:
        return products
    weight = matrix[:outer, :inner]
    return replace(products, eight=(eight_bits(weight, room), eight_bits(weight.T, room)))
