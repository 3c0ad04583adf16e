"""What a model answered: whether it is one JSON object with the fields asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FENCE = re.compile(r"\A```(?:json)?\s*(.*?)\s*```\Z", re.DOTALL)


@dataclass(frozen=True)
class Answer:
    """A model's text, and whether it came to an end within the tokens that it had."""

    text: str
    ended: bool


@dataclass(frozen=True)
class Parsed:
    """The fields of an answer, or why it has none: ``empty``, ``endless`` or ``not JSON``, with a clause for people."""

    fields: Mapping[str, Any]
    failure: str | None = None
    because: str | None = None


def parse(answer: Answer, fields: Mapping[str, type]) -> Parsed:
    """Return an answer's fields, each of its type and no other; a Markdown fence around the JSON is taken off."""
    text = answer.text.strip()
    if not text:
        return Parsed({}, "empty", "is empty, expected one JSON object")
    if not answer.ended:
        return Parsed({}, "endless", "does not end, expected one short JSON object")
    try:
        value = json.loads(match.group(1) if (match := FENCE.match(text)) else text)
        # Half of a character, which JSON can escape, could be written nowhere.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return Parsed({}, "not JSON", "is not JSON, expected one JSON object and nothing else")
    if not isinstance(value, dict) or set(value) != set(fields):
        return Parsed({}, "not JSON", f"is not an object with exactly the fields {', '.join(fields)}")
    for name, kind in fields.items():
        # JSON's true is no number, though Python's is.
        if not isinstance(value[name], kind) or (kind is int and isinstance(value[name], bool)):
            return Parsed({}, "not JSON", f"has a field '{name}' that is not a {kind.__name__}")
    return Parsed(value)
