"""Draw the stages of a target."""

from __future__ import annotations

import json
from pathlib import Path

import click

from reelgraph.cli import STORE
from reelgraph.errors import StageError


@click.command(name="graph")
@click.argument("target")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="FILE.svg, FILE.html or FILE.json."
)
@click.option("--json", "as_json", is_flag=True, help="Print the graph as JSON (schemas/reel-graph.json).")
@click.option("--plain", is_flag=True, help="SVG without states, times and sizes: the same on every machine.")
@STORE
def command(target: str, output: Path | None, as_json: bool, plain: bool, store: Path) -> None:
    """Draw the stages that TARGET needs, coloured by what is built and what is not.

    Columns are the runbook's steps, bands are episodes and the dataset; many episodes alike are folded into one band.
    In HTML, pointing at a stage shows what it needs and what needs it. Without -o the SVG goes to standard output.

    Example: reel graph wan22-smoke -o graph.html
    """
    from reelgraph.graph.draw import draw_html, draw_svg, graph_json
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.graph.plan import make_plan
    from reelgraph.graph.store import Store

    form = ".json" if as_json else output.suffix if output else ".svg"
    if form not in (".svg", ".html", ".json"):
        raise StageError(f"{output}: cannot write '{form}'; name a file that ends in .svg, .html or .json", status=2)
    plan = make_plan(find_checkout(), target, store=Store(store), reasons=form == ".html")
    if form == ".json":
        text = json.dumps(graph_json(plan), indent=2) + "\n"
    else:
        text = draw_html(plan) if form == ".html" else draw_svg(plan, plain)
    if output:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    else:
        print(text, end="")
