"""Say what differs between two results."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command(name="diff")
@click.argument("first", type=click.Path(path_type=Path, exists=True))
@click.argument("second", type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for a page with samples side by side.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what differs as JSON (schemas/reel-diff.json).")
def command(first: Path, second: Path, output: Path | None, as_json: bool) -> None:
    """Say what differs between two packages, captions, checkpoints or whole results: clips, captions word by word,
    parameters, losses, weights, samples.

    FIRST and SECOND are folders as stages make them (or .safetensors files). Exit status 1 if anything differs.

    Example: reel diff result-before result -o diff
    """
    from reelgraph.compare.changes import compare
    from reelgraph.compare.page import comparison_json, comparison_lines, write_page
    from reelgraph.compare.result import read_result

    comparison = compare(read_result(first), read_result(second))
    print(
        json.dumps(comparison_json(comparison), indent=2, ensure_ascii=False)
        if as_json
        else "\n".join(comparison_lines(comparison))
    )
    if output:
        write_page(comparison, output)
    raise SystemExit(0 if comparison.is_same else 1)
