"""reel builder status: what is rented, what it has cost, who watches it, and what nobody knows of."""

from __future__ import annotations

import sys

import click

from reelgraph.cli.renting.common import json_option, print_json
from reelgraph.errors import StageError


@click.command("status")
@click.option("--all", "everything", is_flag=True, help="Closed leases too.")
@click.option("--offline", is_flag=True, help="Only the journal; do not ask the provider.")
@json_option
def status(everything: bool, offline: bool, as_json: bool) -> None:
    """Print every open lease with age, cost so far and end, and machines that the journal does not know.

    Example: reel builder status --json
    """
    from reelgraph.builder.clock import Clock
    from reelgraph.builder.heartbeat import Heartbeat
    from reelgraph.builder.look import ask_all
    from reelgraph.builder.office import all_leases, say, state_folder
    from reelgraph.builder.watch import as_json as lease_as_json
    from reelgraph.builder.watch import describe

    account = None if offline else ask_all()
    # Nothing that the provider or its credentials do may hide what the journal says.
    leases = [lease for lease in all_leases().values() if everything or lease.is_open]
    now, heartbeat = (account and account.now) or Clock().now(), Heartbeat(state_folder())
    unknown = account.unknown_servers if account else ()
    if as_json:
        print_json(
            {
                "leases": [lease_as_json(lease, now) for lease in leases],
                "watched": heartbeat.is_fresh(Clock().now()),
                "provider_asked": account is not None,
                "provider_problem": account.problem if account else None,
                "unknown_servers": list(unknown),
            }
        )
    else:
        for lease in leases:
            print(describe(lease, now) + (f": {lease.outcome}" if lease.outcome else ""))
        if any(lease.is_open for lease in leases):
            print(heartbeat.describe(Clock().now()))
        else:
            print("no open lease")
    for number in unknown:
        print(f"server {number} is on the account and in no open lease", file=sys.stderr)
    if account is None and not offline:
        say("the provider was not asked: there are no credentials for it")
    if account is not None and account.problem:
        raise StageError(f"the provider could not be asked: {account.problem}", status=account.status)
    if unknown:
        raise StageError(
            "name machines that have nothing to do with Reelgraph with 'reel builder known-server', cancel the others"
        )


COMMANDS = (status,)
