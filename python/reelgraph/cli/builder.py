"""reel builder: rent a CUDA machine, build on it, and end its bill."""

from __future__ import annotations

import click

from reelgraph.cli.renting import build, cancel, lease, machine, order, quote, register, status, watch


@click.group(name="builder")
def command() -> None:
    """Rent a CUDA machine, build on it, and end its bill.

    \b
    find-cheapest-gpu -> order -> wait -> install -> register -> validate -> build -> cancel
    Example: reel builder find-cheapest-gpu --hours 10 --output quote.json

    Costs, safety and what nobody has verified yet: docs/builder.md.
    """


for module in (quote, order, machine, register, build, status, lease, watch, cancel):
    for each in module.COMMANDS:
        command.add_command(each)
