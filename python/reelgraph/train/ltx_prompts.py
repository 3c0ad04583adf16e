"""The prompt that a caption becomes for LTX-2, as its own preprocessing makes it."""

from __future__ import annotations

from reelgraph.errors import StageError


def ltx_prompt(caption: str, trigger: str, name: str) -> str:
    """Return the caption behind ``trigger`` and a space; a StageError names a clip whose caption has it already."""
    caption = caption.strip()
    if trigger and trigger in caption:
        raise StageError(
            f"{name}: its caption holds the trigger '{trigger}' already, and LTX-2's trainer would put it there twice; "
            "take it out of the caption, or leave the trigger empty"
        )
    return f"{trigger.strip()} {caption}" if trigger else caption
