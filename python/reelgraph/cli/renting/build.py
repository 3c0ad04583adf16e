"""reel builder build, explain: building on registered machines, and why a build there did not come about."""

from __future__ import annotations

import json

import click

from reelgraph.cli.renting.common import choose_builder, show_open_leases
from reelgraph.errors import StageError


@click.command("build", context_settings={"ignore_unknown_options": True})
@click.argument("installables", nargs=-1, required=True)
@click.option("--there", is_flag=True, help="Run everything from the first GPU stage on with the builder as the store.")
@click.option("--fetch", multiple=True, help="With --there: what comes back; the installables themselves if not given.")
@click.option("--no-fetch", is_flag=True, help="With --there: nothing comes back.")
@click.option("--builder", "name", help="With --there: which builder.")
@click.option("--cancel-after", is_flag=True, help="End the open lease as soon as the results are here.")
def build_command(
    installables: tuple[str, ...],
    there: bool,
    fetch: tuple[str, ...],
    no_fetch: bool,
    name: str | None,
    cancel_after: bool,
) -> None:
    """Build like `./nixw build`, and say in one sentence what a builder did wrong.

    Example: reel builder build --there --cancel-after .#wan22-smoke-cuda
    """
    from reelgraph.builder.ending import CANCEL_MINUTES, cancelling_on_failure, end_lease, report_end
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import find_lease, state_folder
    from reelgraph.builder.offload import build, build_there

    if no_fetch and (fetch or cancel_after):
        raise StageError("--no-fetch leaves results on the builder; it goes with no --fetch, --cancel-after", status=2)
    if (fetch or no_fetch or name) and not there:
        raise StageError("--fetch, --no-fetch and --builder need --there", status=2)
    show_open_leases()
    to_end = find_lease(name) if cancel_after else None
    with cancelling_on_failure(name, wanted=False):
        if there:
            finished = build_there(installables, choose_builder(name), () if no_fetch else fetch or installables)
        else:
            finished = build(installables, list(Registry(state_folder()).builders().values()), [])
    for entry in json.loads(finished.output):
        for path in entry.get("outputs", {}).values():
            print(path, flush=True)
    if to_end is not None:
        report_end(end_lease(to_end, CANCEL_MINUTES))
    else:
        show_open_leases()


@click.command("explain")
@click.argument("installables", nargs=-1, required=True)
def explain_command(installables: tuple[str, ...]) -> None:
    """Say why GPU stages of a build that failed were not built; silent if a builder is not the reason.

    A target of this checkout may be named without its `.#`.

    Example: reel builder explain .#wan22-smoke-cuda
    """
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import state_folder
    from reelgraph.builder.offload import explain

    named = [name if "#" in name or "/" in name else f".#{name}" for name in installables]
    if reason := explain(named, Registry(state_folder()).builders().values()):
        raise StageError(reason)


COMMANDS = (build_command, explain_command)
