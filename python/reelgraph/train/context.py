"""A caption's embedding as Wan sees it: padded with zeros to one length, though equal tokens are computed once.

Wan pads each caption to 512 tokens and lets a clip attend to all of them. What pads is alike, so its keys and values
are, too: one token that counts as often as there is padding gives the same attention, of a fraction of the work.
"""

from __future__ import annotations

import torch
from torch.nn import functional

Tensor = torch.Tensor
# A training step is recorded once for each of these lengths that occurs, so they are few.
LENGTHS = (64, 128, 256)


def pad_context(context: Tensor, padded_tokens: int) -> tuple[Tensor, Tensor]:
    """Return ``context`` [tokens, channels], padded, and how often each of its tokens counts, float32.

    All in all they count ``padded_tokens`` times: a caption's tokens once, the first after them for all padding, and
    what only fills up the length not at all.
    """
    tokens = len(context)
    length = min((length for length in LENGTHS if tokens < length), default=padded_tokens)
    length = min(length, padded_tokens)
    counts = torch.zeros(length)
    counts[:tokens] = 1
    if tokens < length:
        counts[tokens] = padded_tokens - tokens
    return functional.pad(context, (0, 0, 0, length - tokens)), counts
