"""A text's features behind the padding that Gemma's tokenizer puts in front."""

from __future__ import annotations

import torch

from reelgraph.train.ltx_model import TEXT_LENGTH


def padded(features: torch.Tensor) -> torch.Tensor:
    """Return a text's features [tokens, channels] behind zeros, as Gemma's tokenizer pads."""
    return torch.nn.functional.pad(features, (0, 0, TEXT_LENGTH - features.shape[0], 0))


def padding_mask(tokens: int) -> torch.Tensor:
    """Return which of the padded tokens are real, int64 [tokens], 1 and 0."""
    return (torch.arange(TEXT_LENGTH) >= TEXT_LENGTH - tokens).to(torch.int64)
