"""A comparison as lines, JSON, or a page with the samples beside it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.compare.changes import GONE, NEW, SAME, Comparison
from reelgraph.compare.result import Result
from reelgraph.graph.words import counted, shorten

MOST_LINES = 20
# Longer tables are folded on the page: their number is what one wants to know first.
MOST_ROWS = 30
WIDTH, HEIGHT, LEFT, BOTTOM = 900, 260, 44, 24
MOST_POINTS = 600
_MARKS = {SAME: ("", ""), GONE: ("[-", "-]"), NEW: ("{+", "+}")}


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Yield what differs, a heading and at most MOST_LINES entries each; whole with JSON or as a page."""
    clips = comparison.clips
    yield from _section("clip", "added", [clip.name for clip in clips.added])
    yield from _section("clip", "removed", [clip.name for clip in clips.removed])
    yield from _section("clip", "recut", [f"{old.name} -> {new.id}" for old, new in clips.recut])
    yield from _section(
        "clip", "of another master with the same frames", [f"{old.name} -> {new.id}" for old, new in clips.remastered]
    )
    yield from _section("clip", "with other pictures", [clip.name for clip in clips.redrawn])
    yield from _section(
        "caption", "changed", [f"{change.clip}: {marked(change.words)}" for change in comparison.captions]
    )
    parameters = [f"{name}: {_short(was)} -> {_short(now)}" for name, was, now in comparison.parameters]
    yield from _section("parameter", "changed", parameters)
    first, second = comparison.first.losses, comparison.second.losses
    if first and second and first != second:
        yield f"loss at the end: {first.means[-1]:.4g} and {second.means[-1]:.4g}"
    if comparison.weights:
        yield f"weights: {comparison.weights.summary}"
    yield from _section("sample", "changed", list(comparison.samples))
    if comparison.is_same:
        yield "nothing differs"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as data (schemas/reel-diff.json)."""
    clips = comparison.clips
    return {
        "same": comparison.is_same,
        "clips": {
            "added": [clip.name for clip in clips.added],
            "removed": [clip.name for clip in clips.removed],
            "recut": [[old.name, new.name] for old, new in clips.recut],
            "remastered": [[old.name, new.name] for old, new in clips.remastered],
            "redrawn": [clip.name for clip in clips.redrawn],
        },
        "captions": [
            {"clip": change.clip, "words": [list(word) for word in change.words]} for change in comparison.captions
        ],
        "parameters": [{"name": name, "first": was, "second": now} for name, was, now in comparison.parameters],
        "weights": comparison.weights.summary if comparison.weights else None,
        "samples": list(comparison.samples),
    }


def summary(comparison: Comparison) -> str:
    """Return how much of what differs, in one sentence without its full stop; "" if nothing does."""
    clips, differing = comparison.clips, []
    counts = [
        (clips.recut, "recut"),
        (clips.remastered, "of another master"),
        (clips.removed, "removed"),
        (clips.added, "added"),
        (clips.redrawn, "with other pictures"),
    ]
    differing += [f"{counted(len(found), 'clip')} {what}" for found, what in counts if found]
    for found, noun in ((comparison.captions, "caption"), (comparison.parameters, "parameter")):
        differing += [f"{counted(len(found), noun)} changed"] if found else []
    losses = comparison.first.losses, comparison.second.losses
    differing += ["other losses"] if None not in losses and losses[0] != losses[1] else []
    differing += ["other weights"] if comparison.weights else []
    differing += [f"{counted(len(comparison.samples), 'sample')} changed"] if comparison.samples else []
    return ", ".join(differing)


def write_page(comparison: Comparison, folder: Path) -> Path:
    """Write index.html, with copies of the samples of both results, into a folder; return the page."""
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted({*comparison.first.samples, *comparison.second.samples})
    samples = []
    for name in names:
        pair = [
            _copy_sample(result, name, folder / side)
            for side, result in (("first", comparison.first), ("second", comparison.second))
        ]
        prompt = comparison.first.prompts.get(name) or comparison.second.prompts.get(name, "")
        samples.append({"name": name, "prompt": prompt, "same": name not in comparison.samples, "files": pair})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    view = {
        "comparison": comparison,
        "clips": comparison.clips,
        "parameters": [(name, _short(was), _short(now)) for name, was, now in comparison.parameters],
        "chart": loss_chart(comparison),
        "samples": samples,
        "counted": counted,
        "summary": summary(comparison),
        "most": MOST_ROWS,
    }
    page = folder / "index.html"
    page.write_text(environment.get_template("diff.html.jinja").render(view), encoding="utf-8")
    return page


def loss_chart(comparison: Comparison) -> str:
    """Return both running means of the loss as an SVG element, or "" if one has none."""
    losses = comparison.first.losses, comparison.second.losses
    if losses[0] is None or losses[1] is None:
        return ""
    curves = [
        [(step, mean) for step, mean in zip(curve.steps[curve.window // 2 :], curve.means, strict=False)]
        for curve in losses
    ]
    last = max(curve.steps[-1] for curve in losses)
    top = max(mean for curve in curves for _, mean in curve) * 1.05 or 1.0
    parts = []
    for index in range(5):
        y = (HEIGHT - BOTTOM) * (1 - index / 4) + 4
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * index / 4:.3g}</text>')
    for side, curve in zip(("first", "second"), curves, strict=True):
        every = -(-len(curve) // MOST_POINTS)
        points = " ".join(
            f"{LEFT + (WIDTH - LEFT) * step / last:.1f},{(HEIGHT - BOTTOM) * (1 - mean / top) + 4:.1f}"
            for step, mean in curve[::every]
        )
        parts.append(f'<polyline class="{side}" points="{points}"/>')
    parts.append(f'<text x="{WIDTH}" y="{HEIGHT - 4}" text-anchor="end">step {last:,}</text>')
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss">{"".join(parts)}</svg>'


def marked(words: Sequence[tuple[str, str]]) -> str:
    """Return a word diff as text: [-gone-] and {+new+}; long unchanged passages are shortened."""
    texts = []
    for kind, text in words:
        before, after = _MARKS[kind]
        texts.append(f"{before}{shorten(text, 60) if kind == SAME else text}{after}")
    return " ".join(texts)


def _copy_sample(result: Result, name: str, folder: Path) -> str | None:
    if name not in result.samples:
        return None
    folder.mkdir(exist_ok=True)
    target = folder / Path(name).name
    shutil.copyfile(result.samples[name], target)
    return f"{folder.name}/{target.name}"


def _section(noun: str, what: str, entries: Sequence[str]) -> Iterator[str]:
    if entries:
        yield f"{counted(len(entries), noun)} {what}:"
        yield from (f"  {entry}" for entry in entries[:MOST_LINES])
        if len(entries) > MOST_LINES:
            yield f"  … and {len(entries) - MOST_LINES:,} more"


def _short(value: Any) -> str:
    return "nothing" if value is None else shorten(json.dumps(value, ensure_ascii=False), 80)
