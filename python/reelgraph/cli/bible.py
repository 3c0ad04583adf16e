"""reel bible: check a series' bible, and bring over the old one with its captions."""

from __future__ import annotations

import json
from pathlib import Path

import click

from reelgraph.cli import Group
from reelgraph.graph.words import counted
from reelgraph.stage import validate
from reelgraph.text.bible import LISTS, check_bible, complete, read_bible
from reelgraph.words.old_bible import import_bible

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="bible", cls=Group)
def command() -> None:
    """Check a series' bible, or import the old one.

    \b
    Example: reel bible check materials/smoke/bible.yaml
    """


@command.command()
@as_json
@click.argument("bible", type=click.Path(path_type=Path, exists=True))
def check(bible: Path, as_json: bool) -> None:
    """Check BIBLE, a YAML file or a folder of them, as the bible stage does, and count what it names.

    \b
    Example: reel bible check materials/smoke/bible.yaml
    """
    whole = complete(read_bible(bible))
    validate(whole, "bible", bible.name)
    check_bible(whole)
    counts = {name: len(whole[name]) for name in LISTS}
    print(
        json.dumps(counts)
        if as_json
        else ", ".join(counted(count, name.removesuffix("s")) for name, count in counts.items())
    )


@command.command(name="import")
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="New directory for bible.yaml and labels/."
)
@as_json
@click.argument("old", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_(old: Path, output: Path, as_json: bool) -> None:
    """Turn the OLD bible (JSON or YAML) into a bible and one file of labels an episode.

    Every mapping with a `training_caption` below an episode becomes a label, by its times (start and end in seconds or
    h:mm:ss), else by its PDQ hash (pdq), else by its id. What is missing is listed, never made up.

    \b
    Example: reel bible import old_bible.json --output materials/bible
    """
    told = import_bible(old, output)
    if as_json:
        print(json.dumps(told))
        return
    for episode, counts in told["episodes"].items():
        print(f"{episode}: {counts['labels']} labels, {counts['without_caption']} clips without caption")
    for sentence in told["to_mend"]:
        print(f"to mend: {sentence}")
