"""The page itself: how numbers, rules and hashes are put into words, and the template they go into."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.report.provenance import Record

# Rules of the clips stage: what each means, and what its value and limit are.
RULES = {
    "black": ("Darker than a picture is: black frames and fades.", "mean grey, 0 to 255"),
    "credits": ("Writing after writing runs on: titles at a beginning or an end.", "boxes of writing"),
    "dropped-by-hand": ("A person dropped it.", "decision"),
    "remainder": ("Left over behind the clips of a shot, too few for another one.", "frames"),
    "still": ("A whole shot in which nearly every frame repeats the one before.", "share of repeats"),
    "text": ("Writing in the picture, larger than a sign in a scene is.", "share of the picture"),
    "too-short": ("A shot, or what black leaves of it, with too few frames for the shortest clip.", "frames"),
    "transition": ("A fade, dissolve, iris or flash: two shots, or none, in one picture.", "frames"),
    "trim": ("Beside a cut, where the neighbouring shot may still show.", "frames"),
}
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
    """Return what a rule leaves out, in words."""
    return RULES[rule][0] if rule in RULES else "A rule that this page does not know; see the clips stage."


def rule_measure(rule: str) -> str:
    """Return what a rule measures."""
    return RULES[rule][1] if rule in RULES else "as the clips stage says"


def rule_colour(rule: str) -> str:
    """Return the style sheet's class for a rule, the same in every report."""
    return f"r{list(RULES).index(rule) if rule in RULES else len(RULES)}"


def source_words(source: str) -> str:
    """Return where a caption comes from, in words."""
    return CAPTION_SOURCES.get(source, source.replace("_", " "))


def short_hash(content: str) -> str:
    """Return the first 12 hexadecimal digits of ``sha256:<hex>``."""
    return content.removeprefix("sha256:")[:12]


def anchor(record: Record) -> str:
    """Return the address of a record's row within the page."""
    return re.sub(r"[^A-Za-z0-9-]", "-", f"built-{record.name}-{record.stage}")


FILTERS = (
    anchor,
    count,
    counted,
    duration,
    plain,
    rule_colour,
    rule_measure,
    rule_words,
    share,
    short_hash,
    source_words,
)


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
