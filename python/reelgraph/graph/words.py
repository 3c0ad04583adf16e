"""Numbers and names in words."""

from __future__ import annotations

from collections.abc import Sequence

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def byte_count(size: int) -> str:
    """Return ``3.2 kB``: decimal units, two digits where there is room."""
    number, unit = float(size), 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{size} bytes" if unit == 0 else f"{number:.{0 if number >= 99.5 else 1}f} {_UNITS[unit]}"


def counted(number: int, noun: str) -> str:
    """Return ``1 stage`` or ``12 stages``."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def shorten(text: str, limit: int) -> str:
    """Return ``text``, its middle left out where it is longer than ``limit``."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def some(names: Sequence[str], limit: int) -> str:
    """Return ``a, b and 3 more``: at most ``limit`` names, with commas."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def agree(number: int, verb: str) -> str:
    """Return the plural of ``needs``, ``is`` or ``was`` where it is of several things."""
    return verb if number == 1 else {"needs": "need", "is": "are", "was": "were"}[verb]
