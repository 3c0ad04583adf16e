"""reel builder wait, install: from an order to a builder."""

from __future__ import annotations

import shlex

import click

from reelgraph.cli.renting.common import lease_argument, show_open_leases


@click.command("wait")
@lease_argument
@click.option("--minutes", type=float, default=60, show_default=True, help="Deadline.")
@click.option("--cancel-on-failure", is_flag=True, help="End the lease if the machine is not ready in time.")
def wait_command(lease: str | None, minutes: float, cancel_on_failure: bool) -> None:
    """Wait until the ordered machine is ready; it is billed from then on.

    Example: reel builder wait --minutes 30 --cancel-on-failure
    """
    from reelgraph.builder.ending import cancelling_on_failure
    from reelgraph.builder.office import find_lease, open_desk, say
    from reelgraph.builder.wait import wait
    from reelgraph.builder.watch import describe

    show_open_leases()
    found = find_lease(lease)
    with cancelling_on_failure(found.id, cancel_on_failure), open_desk(found.provider) as desk:
        ready = wait(desk, found, minutes)
        say(describe(ready, desk.now()))
        print(ready.address or "")


@click.command("install")
@lease_argument
@click.option("--minutes", type=float, default=45, show_default=True, help="Deadline of the whole installation.")
@click.option(
    "--rescue", is_flag=True, help="Start the rescue system anew first and ask the provider for its host keys."
)
@click.option("--nixos-anywhere", help="Command to run instead of the pinned nixos-anywhere.")
@click.option("--cancel-on-failure", is_flag=True, help="End the lease if the installation fails.")
def install_command(
    lease: str | None, minutes: float, rescue: bool, nixos_anywhere: str | None, cancel_on_failure: bool
) -> None:
    """Make the ready machine a NixOS CUDA builder, and register it.

    Example: reel builder install --cancel-on-failure
    """
    from reelgraph.builder.ending import cancelling_on_failure
    from reelgraph.builder.install import NIXOS_ANYWHERE, install
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import find_lease, open_desk, say, state_folder

    show_open_leases()
    found = find_lease(lease)
    command = shlex.split(nixos_anywhere or NIXOS_ANYWHERE)
    with cancelling_on_failure(found.id, cancel_on_failure), open_desk(found.provider) as desk:
        builder = install(desk, found, minutes=minutes, command=command, rescue=rescue)
        Registry(state_folder()).add(builder)
        desk.journal.append(found.id, "registered")
        say(f"builder '{builder.name}' is registered; run 'reel builder validate'")


COMMANDS = (wait_command, install_command)
