"""The page itself: how numbers, rules and hashes are put into words, and the template they go into."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.report.provenance import Record

RULES = {}
CAPTION_SOURCES = {"training_caption": "written by hand", "override": "corrected by hand"}


def count(number: int) -> str:
    """Return ``12,345``."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """Return ``1 clip`` or ``12 clips``."""
    return f"{count(number)} {noun if number == 1 else noun + 's'}"


def share(part: int, whole: int) -> str:
    """Return ``81.3 %``."""
    return f"{100 * part / whole:.1f} %" if whole else "0.0 %"


def duration(seconds: float) -> str:
    """Return ``1 h 02 min``, ``12 min 30 s`` or ``8.5 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def plain(value: Any) -> str:
    """Return a JSON value as readers expect it: no needless digits, no quotes, lists with commas."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return ", ".join(plain(entry) for entry in value) or "none"
    return str(value) or "none"


def rule_words(rule: str) -> str:
    """Return what a rule leaves out and why, in words."""
    return RULES.get(rule, "See the clips stage.")


def source_words(source: str) -> str:
    """Return where a caption comes from, in words."""
    return CAPTION_SOURCES.get(source, source.replace("_", " "))


def short_hash(content: str) -> str:
    """Return the first 12 hexadecimal digits of ``sha256:<hex>``."""
    return content.removeprefix("sha256:")[:12]


def anchor(record: Record) -> str:
    """Return the address of a record's row within the page."""
    return re.sub(r"[^A-Za-z0-9-]", "-", f"built-{record.name}-{record.stage}")


FILTERS = (count, counted, share, duration, plain, rule_words, source_words, short_hash, anchor)


def render(view: Mapping[str, Any]) -> Iterator[str]:
    """Yield the page piece by piece, so that the pictures of a thousand clips are never in memory at once."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({function.__name__: function for function in FILTERS})
    return environment.get_template("report.html.jinja").generate(view)
