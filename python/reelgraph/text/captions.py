"""What every caption must keep to, whoever wrote it."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from reelgraph.text.names import WORD, unknown_names

MOST_CLIPS_OF_ONE_TEXT = 2
MOST_COMPRESSION = 2.4
OPENER = re.compile(
    r"(?:^|[.!?]\s+)((?:in |here |this is )?(?:the|this|a) (?:video|clip|footage|image|picture|frame|animation|caption"
    r"|(?:scene|shot|sequence) (?:shows|depicts|features|captures|opens|begins|is))\b"
    r"|(?:in (?:the|this) (?:scene|shot|sequence)|here,? we|we (?:can )?see)\b)",
    re.IGNORECASE,
)
# In double marks, to the end where they are not closed; in single ones, which inside a word are apostrophes.
QUOTATION = re.compile(
    '["\u201c\u201e\u00ab]([^"\u201c\u201d\u00bb]*)(?:["\u201c\u201d\u00bb]|$)'
    r"|(?<!\w)['\u2018]((?:[^'\u2018\u2019]|(?<=\w)['\u2019](?=\w))*)['\u2019](?!\w)"
)


def caption_problems(
    text: str, bible: Mapping[str, Any], minimum_words: int, maximum_words: int, spoken: Sequence[str] | None = None
) -> list[str]:
    """Return what is wrong with a caption, one clause each; an empty list when nothing is.

    ``spoken`` are the lines heard in the clip's shot, the only source of quotations; None where they are not known.
    """
    problems = []
    if text != " ".join(text.split()):
        problems.append("has line breaks or blanks at an end or twice in a row, expected one line")
    elif not text.isprintable():
        problems.append("has a character that cannot be seen, expected plain text")
    if not minimum_words <= (count := len(text.split())) <= maximum_words:
        problems.append(f"has {count} words, expected {minimum_words} to {maximum_words}")
    if opener := OPENER.search(text):
        problems.append(f'talks of the film ("{opener.group(1)}"), expected what is seen in it')
    if unknown := unknown_names(text, bible):
        problems.append(f"uses '{unknown[0]}', which the bible does not name")
    if text and (ratio := compression_ratio(text)) >= MOST_COMPRESSION:
        problems.append(f"repeats itself (its bytes compress {ratio:.1f} times, expected less than {MOST_COMPRESSION})")
    elif phrase := looped_phrase(text):
        problems.append(f'repeats itself ("{phrase}" stands twice in a row)')
    if spoken is not None and (quoted := unspoken_quotation(text, spoken)) is not None:
        problems.append(f'quotes "{quoted}", which nobody says in its shot')
    return problems


def compression_ratio(text: str) -> float:
    """Return the UTF-8 bytes of ``text`` over its zlib-compressed bytes."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def looped_phrase(text: str) -> str | None:
    """Return the first phrase of three or more words that comes twice in a row, too short to show by compression."""
    words = _plain(text).split()
    for first in range(len(words)):
        for length in range(3, (len(words) - first) // 2 + 1):
            if words[first : first + length] == words[first + length : first + 2 * length]:
                return " ".join(words[first : first + length])
    return None


def unspoken_quotation(text: str, spoken: Sequence[str]) -> str | None:
    """Return the first quotation of ``text`` whose words are not in ``spoken`` one after the other, or None."""
    said = f" {_plain(' '.join(spoken))} "
    quotations = (match.group(1) or match.group(2) or "" for match in QUOTATION.finditer(text))
    return next((quoted for quoted in quotations if f" {_plain(quoted)} " not in said), None)


def text_hash(text: str) -> str:
    """Return ``sha256:<hex>`` of a caption's UTF-8 text, by which an override says what it replaces."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _plain(text: str) -> str:
    return " ".join(word.group().casefold() for word in WORD.finditer(text))
