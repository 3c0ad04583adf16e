"""reel builder extend, known-server: what a person decides about a lease or the account."""

from __future__ import annotations

import click

from reelgraph.cli.renting.common import amount, lease_argument, planned_hours, show_open_leases


@click.command("extend")
@lease_argument
@click.option("--hours", required=True, help="From now.")
@click.option("--max-total", metavar="AMOUNT", help="Cap on the whole lease, with tax; the quoted total if not given.")
def extend(lease: str | None, hours: str, max_total: str | None) -> None:
    """Move a lease's end, at which the watchdog cancels it.

    Example: reel builder extend --hours 6 --max-total 30
    """
    from reelgraph.builder.clock import Clock
    from reelgraph.builder.lease import extended_end
    from reelgraph.builder.office import find_lease, open_journal
    from reelgraph.builder.watch import describe

    now, found = Clock().now(), find_lease(lease)
    cap = None if max_total is None else amount(max_total, "--max-total")
    end = extended_end(found, now, planned_hours(hours), cap)
    open_journal().append(found.id, "extended", expires_at=end)
    print(describe(find_lease(found.id), now))


@click.command("known-server")
@click.argument("number", type=int)
def known_server(number: int) -> None:
    """Note that a machine of the account has nothing to do with Reelgraph.

    Example: reel builder known-server 321
    """
    from reelgraph.builder.journal import ACCOUNT
    from reelgraph.builder.office import open_journal

    show_open_leases()
    open_journal().append(ACCOUNT, "known-server", server=number)


COMMANDS = (extend, known_server)
