"""What every caption must keep to, whoever wrote it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from reelgraph.text.names import unknown_names

MOST_CLIPS_OF_ONE_TEXT = 2
OPENER = re.compile(
    r"(?:^|[.!?]\s+)((?:in |here |this is )?(?:the|this|a) (?:video|clip|footage|image|picture|frame|animation|caption"
    r"|(?:scene|shot|sequence) (?:shows|depicts|features|captures|opens|begins|is))\b"
    r"|(?:in (?:the|this) (?:scene|shot|sequence)|here,? we|we (?:can )?see)\b)",
    re.IGNORECASE,
)


def caption_problems(text: str, bible: Mapping[str, Any], minimum_words: int, maximum_words: int) -> list[str]:
    """Return what is wrong with a caption, one clause each; an empty list when nothing is."""
    problems = []
    if text != " ".join(text.split()):
        problems.append("has line breaks or blanks at an end or twice in a row, expected one line")
    if not minimum_words <= (count := len(text.split())) <= maximum_words:
        problems.append(f"has {count} words, expected {minimum_words} to {maximum_words}")
    if opener := OPENER.search(text):
        problems.append(f'talks of the film ("{opener.group(1)}"), expected what is seen in it')
    if unknown := unknown_names(text, bible):
        problems.append(f"uses '{unknown[0]}', which the bible does not name")
    return problems


def text_hash(text: str) -> str:
    """Return ``sha256:<hex>`` of a caption's UTF-8 text, by which an override says what it replaces."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
