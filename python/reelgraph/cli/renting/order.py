"""reel builder order, resolve: the only commands that can start a bill, or settle whether one was started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelgraph.cli.renting.common import amount, ask, json_option, lease_argument, print_json, show_open_leases
from reelgraph.errors import StageError

if TYPE_CHECKING:
    from reelgraph.builder.order import Caps


@click.command("order")
@click.argument("quote", type=click.Path(path_type=Path))
@click.option(
    "--real", is_flag=True, help="Spend money. Needs REEL_BUILDER_SPEND=yes, the three caps, and the typed total."
)
@click.option("--max-hourly", metavar="AMOUNT", help="Cap on an hour, with tax.")
@click.option("--max-setup", metavar="AMOUNT", help="Cap on the setup fee, with tax; lost once the order is taken.")
@click.option("--max-total", metavar="AMOUNT", help="Cap on the planned lease, with tax.")
@click.option("--another-lease", is_flag=True, help="Rent a machine although one is open.")
@click.option("--watched-elsewhere", is_flag=True, help="The watchdog runs on another machine.")
@click.option("--any-nix-version", is_flag=True, help="Rent although a builder cannot run this machine's Nix.")
@click.option(
    "--known-server", type=int, multiple=True, help="A machine on the account that has nothing to do with Reelgraph."
)
@json_option
def order(
    quote: Path,
    real: bool,
    max_hourly: str | None,
    max_setup: str | None,
    max_total: str | None,
    another_lease: bool,
    watched_elsewhere: bool,
    any_nix_version: bool,
    known_server: tuple[int, ...],
    as_json: bool,
) -> None:
    """Order what a quote of the last minutes says: as a test, or with --real.

    \b
    Example: reel builder order quote.json
             REEL_BUILDER_SPEND=yes reel builder order quote.json --real \\
               --max-hourly 2 --max-setup 0 --max-total 20
    """
    from reelgraph.builder.clock import Clock
    from reelgraph.builder.heartbeat import Heartbeat, check_watched
    from reelgraph.builder.machines import check_release
    from reelgraph.builder.office import open_desk, say, state_folder
    from reelgraph.builder.order import place_order
    from reelgraph.builder.quote import read_quote
    from reelgraph.builder.watch import as_json as lease_as_json
    from reelgraph.builder.watch import describe

    caps = _caps(max_hourly, max_setup, max_total) if real else None
    found = read_quote(quote)
    show_open_leases()
    if real and not any_nix_version:
        check_release()
    if real and not watched_elsewhere:
        check_watched(Heartbeat(state_folder()), Clock().now())
    with open_desk(found.provider) as desk:
        lease = place_order(desk, found, caps=caps, confirm=ask, another=another_lease, declared=known_server)
        if as_json:
            print_json(lease_as_json(lease, desk.now()))
        else:
            say(f"{describe(lease, desk.now())}{': ' + lease.outcome if lease.outcome else ''}")


def _caps(hourly: str | None, setup: str | None, total: str | None) -> Caps:
    from reelgraph.builder.order import Caps

    if os.environ.get("REEL_BUILDER_SPEND") != "yes":
        raise StageError("a real order needs REEL_BUILDER_SPEND=yes in the environment", status=2)
    values = {"--max-hourly": hourly, "--max-setup": setup, "--max-total": total}
    if missing := [name for name, value in values.items() if value is None]:
        raise StageError(f"a real order needs {', '.join(missing)}", status=2)
    return Caps(*(amount(value or "", name) for name, value in values.items()))


@click.command("resolve")
@lease_argument
@click.option(
    "--no-machine", is_flag=True, help="You looked at the provider's web page: there is neither order nor machine."
)
def resolve_command(lease: str | None, no_machine: bool) -> None:
    """Find out what became of an order whose answer was lost; nothing is ever sent again.

    Example: reel builder resolve
    """
    from reelgraph.builder.lease import State
    from reelgraph.builder.office import find_lease, open_desk
    from reelgraph.builder.settle import clear, resolve
    from reelgraph.builder.watch import describe

    found = find_lease(lease)
    with open_desk(found.provider) as desk:
        if no_machine:
            clear(desk, found, ask)
        found = resolve(desk, desk.lease(found.id))
        print(describe(found, desk.now()) + (f": {found.outcome}" if found.outcome else ""))
    if found.state is State.AMBIGUOUS:
        raise StageError(
            f"{found.description}: the provider lists no order with its key yet; ask again in some minutes, look at "
            "its web page, and close it with 'reel builder resolve --no-machine' when there is nothing"
        )


COMMANDS = (order, resolve_command)
