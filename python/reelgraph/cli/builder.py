"""reel builder: rent a CUDA machine, build on it, and end its bill."""

from __future__ import annotations

import click

from reelgraph.cli import Group
from reelgraph.cli.renting import build, cancel, lease, machine, order, quote, register, status, watch


@click.group(name="builder", cls=Group)
def command() -> None:
    """Rent a CUDA machine, build on it, and end its bill (docs/builder.md).

    \b
    Example: reel builder find-cheapest-gpu --hours 10 --output quote.json
    Then: order, wait, install, validate, build, cancel.
    """


for module in (quote, order, machine, register, build, status, lease, watch, cancel):
    for each in module.COMMANDS:
        command.add_command(each)
