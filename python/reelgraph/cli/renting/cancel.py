"""reel builder cancel: always allowed, safe to repeat."""

from __future__ import annotations

import click

from reelgraph.cli.renting.common import ask, lease_argument, provider_option, show_open_leases


@click.command("cancel")
@lease_argument
@click.option("--server", type=int, help="A machine by its number, also one that the journal does not know.")
@click.option("--minutes", type=float, default=30, show_default=True, help="Deadline.")
@provider_option
def cancel(lease: str | None, server: int | None, minutes: float, provider: str) -> None:
    """End a machine's bill, verify it, and list what still costs. Safe to repeat.

    \b
    Example: reel builder cancel                 (the open lease)
             reel builder cancel --server 321    (asks again if no lease has it)
    """
    from reelgraph.builder.ending import end_lease, end_server, report_end
    from reelgraph.builder.office import all_leases, find_lease, open_desk

    if server is not None:
        with open_desk(provider) as desk:
            report_end(end_server(desk, server, minutes, ask))
        return
    show_open_leases()
    if lease is None and not any(found.is_open for found in all_leases().values()):
        print("no open lease")
        return
    report_end(end_lease(find_lease(lease), minutes))


COMMANDS = (cancel,)
