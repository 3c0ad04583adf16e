"""The prompt that a caption becomes, and the name under which its embedding is kept."""

from __future__ import annotations

import hashlib


def prompt_of(caption: str, trigger: str) -> str:
    """Return the caption, with ``trigger`` in front unless it is empty or the caption holds it already."""
    caption = caption.strip()
    return caption if not trigger or trigger in caption else f"{trigger}, {caption}"


def prompt_hash(prompt: str) -> str:
    """Return the sha256 of the prompt's UTF-8 bytes as hex digits."""
    return hashlib.sha256(prompt.encode("utf-8")).hexdigest()
