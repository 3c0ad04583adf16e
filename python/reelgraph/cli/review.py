"""reel review: a page on which a person reads and corrects an episode's captions."""

from __future__ import annotations

import json
from pathlib import Path

import click

STAGES = ("source", "clips", "shot-reference", "caption")


@click.command(name="review")
@click.option("--output", type=click.Path(path_type=Path), help="New directory of the page [default: review-EPISODE].")
@click.option(
    "--overrides",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Corrections made before, to go on from [default: those that the pipeline has for EPISODE].",
)
@click.option("--json", "as_json", is_flag=True, help="Print where the page is, and how many clips it has, as JSON.")
@click.argument("episode")
def command(episode: str, output: Path | None, overrides: Path | None, as_json: bool) -> None:
    """Write a page to read and edit the captions of EPISODE (PIPELINE.ID) beside its clips.

    Builds what is missing, then writes a folder that opens from disk in a browser, with the corrections made before.
    Its button "Export overrides" saves them and the new ones; put the file where the pipeline's `overrides` points, and
    build again.

    \b
    Example: reel review smoke.big-buck-bunny-excerpt
    """
    from reelgraph.text.yaml import read_yaml
    from reelgraph.words.builds import build_stages, materials_of, overrides_of
    from reelgraph.words.review import check_new, write_review

    pipeline, name = materials_of(episode)
    folder = output or Path(f"review-{name}")
    # Before the work, so that a wrong name costs no build.
    check_new(folder)
    written = read_yaml(overrides) if overrides else None
    outputs = build_stages(pipeline, name, STAGES)
    if overrides is None:
        written = overrides_of(pipeline, name)
    count = write_review(name, outputs, written, folder)
    if as_json:
        print(json.dumps({"page": str(folder / "index.html"), "clips": count}))
    else:
        print(f"{folder / 'index.html'}: {count} clips; open it in a browser")
