"""What several commands of ``reel builder`` share."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from reelgraph.errors import StageError

if TYPE_CHECKING:
    from reelgraph.builder.machines import Builder

# Longer than any lease that makes sense by the hour, and short enough for a date.
MOST_HOURS = 8760

provider_option = click.option("--provider", default="robot", show_default=True, help="Who lets the machine.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
lease_argument = click.argument("lease", required=False)


def amount(text: str, option: str) -> Decimal:
    """Return an option's amount, or end with one sentence."""
    from reelgraph.builder.money import parse_amount

    try:
        return parse_amount(text)
    except ValueError as error:
        raise StageError(f"{option}: {error}", status=2) from error


def planned_hours(text: str) -> Decimal:
    """Return the hours of ``--hours``."""
    hours = amount(text, "--hours")
    if not 0 < hours <= MOST_HOURS:
        raise StageError(f"--hours: a lease is longer than 0 hours and no longer than {MOST_HOURS}", status=2)
    return hours


def print_json(value: Any) -> None:
    """Print JSON for scripts."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def ask(question: str) -> str:
    """Show a question and return the line that the person typed."""
    print(f"{question}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


def show_open_leases() -> None:
    """Tell on stderr what is open, as every command does: age, cost so far, end, and whether somebody watches."""
    from reelgraph.builder.clock import Clock
    from reelgraph.builder.heartbeat import Heartbeat
    from reelgraph.builder.office import all_leases, say, state_folder
    from reelgraph.builder.watch import describe

    now, heartbeat = Clock().now(), Heartbeat(state_folder())
    found = [lease for lease in all_leases().values() if lease.is_open]
    for lease in found:
        say(f"open: {describe(lease, now)}")
    if found and not heartbeat.is_fresh(now):
        say(heartbeat.describe(now))


def remind_of_open_leases() -> None:
    """Tell of open leases after a command that is not about renting; silent without a journal, never in the way."""
    from reelgraph.builder.office import say, state_folder

    try:
        if (state_folder() / "journal.jsonl").is_file():
            show_open_leases()
    except (StageError, OSError) as error:
        say(str(error))


def choose_builder(name: str | None) -> Builder:
    """Return a registered builder, the only one if none is named."""
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import state_folder
    from reelgraph.builder.offload import HELP

    builders = Registry(state_folder()).builders()
    known = ", ".join(sorted(builders)) or "none"
    if name is not None and name not in builders:
        raise StageError(f"builder '{name}' is not registered; there is {known}", status=2)
    if not builders:
        raise StageError(f"no CUDA builder is registered: {HELP}", status=3)
    if name is None and len(builders) > 1:
        raise StageError(f"several builders are registered ({known}); name one", status=2)
    return builders[name] if name else next(iter(builders.values()))
