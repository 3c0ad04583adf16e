"""reel builder find-cheapest-gpu."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reelgraph.cli.renting.common import json_option, planned_hours, print_json, provider_option, show_open_leases
from reelgraph.errors import StageError

_SHOWN = 10


@click.command("find-cheapest-gpu")
@click.option("--hours", required=True, help="Planned length of the lease; the ranking is by what that costs in all.")
@click.option("--min-memory-gb", type=click.IntRange(1), default=24, show_default=True, help="Memory of one card.")
@click.option("--min-capability", default="8.0", show_default=True, help="CUDA compute capability.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the cheapest as a quote file.")
@provider_option
@json_option
def find(
    hours: str, min_memory_gb: int, min_capability: str, output: Path | None, provider: str, as_json: bool
) -> None:
    """Rank what can be rented now by the cost of the whole lease; spends nothing.

    Example: reel builder find-cheapest-gpu --hours 10 --min-memory-gb 40 --output quote.json
    """
    from reelgraph.builder.gpus import parse_capability
    from reelgraph.builder.office import open_desk
    from reelgraph.builder.quote import Wanted, quote_as_json, quote_as_line, rank, write_quote

    try:
        wanted = Wanted(planned_hours(hours), min_memory_gb, parse_capability(min_capability))
    except ValueError as error:
        raise StageError(f"--min-capability: {error}", status=2) from error
    show_open_leases()
    with open_desk(provider) as desk:
        offers = desk.provider.offers()
        ranking = rank(provider, offers, wanted, desk.now())
    if as_json:
        print_json({"quotes": [quote_as_json(quote) for quote in ranking.quotes], "left_out": ranking.left_out})
    else:
        for quote in ranking.quotes[:_SHOWN]:
            print(quote_as_line(quote))
        for line in ranking.left_out:
            print(f"left out: {line}", file=sys.stderr)
    if not ranking.quotes:
        raise StageError(
            f"nothing on offer has a known GPU with {min_memory_gb} GB and compute capability {min_capability}"
        )
    if output is not None:
        write_quote(output, ranking.quotes[0])


COMMANDS = (find,)
