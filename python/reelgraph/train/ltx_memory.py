"""What a training step of LTX-2 needs of a GPU's memory."""

from __future__ import annotations

from reelgraph.train.ltx_model import token_count
from reelgraph.train.memory import Needs

# Measured, see docs/ltx2.md.
LTX2 = Needs(
    kept_bytes={"none": 75.0, "full": 2.0},
    working_bytes=120.0,
    workspace_bytes=0,
    width_of=lambda dit: (dit.inner_dim, len(dit.transformer_blocks)),
    tokens_of=token_count,
    token_name="video tokens",
    smaller="cut shorter or smaller clips, drop them by token_limit in the plan, or take a larger GPU",
)
