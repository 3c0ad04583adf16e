"""The bible's names: the only ones that a caption may use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

KINDS = ("characters", "places", "gadgets")
# Straight and typographic quotation marks (\u2018 \u2019 single, \u201c \u201d double).
WORD = re.compile(r"[^\W\d_]+(?:[-'\u2019][^\W\d_]+)*")
SENTENCE_START = re.compile(r"(?:^|[.!?\u2026][\"'\u201d\u2019)]*\s+|[\"\u201c\u2018(]|(?:^|\s)')\s*$")


def canonical_names(bible: Mapping[str, Any], kinds: tuple[str, ...] = KINDS) -> dict[str, str]:
    """Return every name and alias of the given kinds with the name of the entry that it means."""
    return {
        text: entry["name"] for kind in kinds for entry in bible[kind] for text in (entry["name"], *entry["aliases"])
    }


def characters_in(text: str, bible: Mapping[str, Any]) -> set[str]:
    """Return the bible's names of the characters that ``text`` mentions by name or alias."""
    names = canonical_names(bible, ("characters",))
    return {names[match] for match in _name_pattern(names).findall(text)}


def unknown_names(text: str, bible: Mapping[str, Any]) -> list[str]:
    """Return the capitalised words of ``text`` that are neither in the bible nor at the start of a sentence."""
    rest = _name_pattern(canonical_names(bible)).sub(lambda match: "x" * len(match.group()), text)
    return [
        word.group()
        for word in WORD.finditer(rest)
        if word.group()[0].isupper()
        and re.split("['\u2019]", word.group())[0] != "I"
        and not SENTENCE_START.search(rest, 0, word.start())
    ]


def _name_pattern(names: Mapping[str, str]) -> re.Pattern[str]:
    # The longest first, so that "Big Buck Bunny" is one name and not an alias "Bunny" after two unknown words.
    longest_first = sorted(names, key=lambda name: (-len(name), name))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'})(?!\w)")
