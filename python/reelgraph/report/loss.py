"""The loss of a training, step by step: read, summed up and drawn."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean

from reelgraph.errors import StageError

DOTS = 1000
# The page's style sheet says what these are in light and in dark.
POINT, LINE, GRID, TEXT = "#010101", "#020202", "#030303", "#040404"
VARIABLES = {POINT: "--loss-point", LINE: "--loss-line", GRID: "--rule", TEXT: "--muted"}


@dataclass(frozen=True)
class Losses:
    """The loss of every step in order."""

    steps: Sequence[int]
    values: Sequence[float]

    @property
    def window(self) -> int:
        """Return how many neighbouring steps the running mean takes: a tenth of them, at most 100."""
        return min(100, max(1, len(self.values) // 10))

    @property
    def means(self) -> list[float]:
        """Return the running mean; it has ``window - 1`` entries fewer than there are steps."""
        return [fmean(self.values[first : first + self.window]) for first in range(len(self.values) - self.window + 1)]


def read_losses(path: Path) -> Losses:
    """Read loss.jsonl, or raise a StageError that names the line that is wrong."""
    steps, values = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            steps.append(int(entry["step"]))
            values.append(float(entry["loss"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StageError(
                f"{path.name}: line {number} is no step with its loss ({error}); build the checkpoint again"
            ) from error
        if not isfinite(values[-1]):
            raise StageError(f"{path.name}: line {number}: the loss is {values[-1]}, expected a number; train again")
    if not values:
        raise StageError(f"{path.name}: holds no step; the checkpoint was not trained, build it again")
    return Losses(steps, values)


def loss_curve(losses: Losses, segment_ends: Sequence[int]) -> str:
    """Return an SVG element for inlining, with a mark after each step of ``segment_ends``.

    Its colours are variables of the page's style sheet; the same losses give the same bytes.
    """
    # On being imported it would say at length that a sandbox has no home to keep its list of fonts in.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "reelgraph", "svg.fonttype": "none", "font.size": 9, "axes.unicode_minus": False}):
        figure = Figure(figsize=(11.5, 3.4))
        axes = figure.add_axes((0.05, 0.13, 0.94, 0.84))
        # A hundred thousand dots would make the page heavy and show no more than a thousand do.
        every = -(-len(losses.values) // DOTS)
        axes.plot(losses.steps[::every], losses.values[::every], "o", color=POINT, markersize=3.5, markeredgewidth=0)
        half, means = losses.window // 2, losses.means
        axes.plot(losses.steps[half : half + len(means)], means, color=LINE, linewidth=1.8)
        for step in segment_ends:
            axes.axvline(step + 0.5, color=TEXT, linewidth=0.6, linestyle=(0, (2, 3)))
        axes.set_xlabel("step", color=TEXT, labelpad=3)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.tick_params(colors=TEXT, length=0)
        axes.spines[:].set_visible(False)
        axes.set_ylim(bottom=0)
        axes.margins(x=0.01)
        page = io.StringIO()
        figure.savefig(page, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawing = page.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<(metadata|style)\b.*?</\1>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r"font-size: [^;]*; font-family: [^;]*;", "", drawing)
    drawing = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1">', drawing, count=1)
    for colour, variable in VARIABLES.items():
        drawing = drawing.replace(colour, f"var({variable})")
    return drawing
