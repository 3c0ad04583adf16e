"""reel builder watch, watchdog: the dead-man switch, and what starts it."""

from __future__ import annotations

import time
from pathlib import Path

import click

from reelgraph.errors import StageError

tell_option = click.option("--tell", "command", help="Run this with problems, warnings, ends on its standard input.")
alive_option = click.option("--alive", help="Run this after every good look: for an alarm that rings when it stops.")


@click.command("watch")
@click.option("--once", is_flag=True, help="Look once: for a timer or cron.")
@click.option("--every", type=click.FloatRange(1), default=300, show_default=True, help="Seconds between two looks.")
@click.option("--warn-minutes", type=float, default=30, show_default=True, help="Warn so long before a lease's end.")
@tell_option
@alive_option
def watch(once: bool, every: float, warn_minutes: float, command: str | None, alive: str | None) -> None:
    """Cancel leases past their end; run it anywhere but on the rented machine.

    Example: reel builder watch --tell "mail -s reelgraph me@example.org"
    """
    from reelgraph.builder.look import look, tell
    from reelgraph.builder.office import say

    while True:
        looked = look(warn_minutes)
        for line in looked.news:
            say(line)
        for line in looked.problems:
            say(f"PROBLEM: {line}")
        lines = [*(f"PROBLEM: {line}" for line in looked.problems), *looked.news]
        if command and lines:
            tell(command, lines)
        if alive and looked.answered and not looked.problems:
            tell(alive, ["watched"])
        if once:
            if looked.problems:
                raise StageError(f"{len(looked.problems)} problems; see above")
            return
        time.sleep(every)


@click.command("watchdog")
@tell_option
@alive_option
@click.option("--units", type=click.Path(path_type=Path, file_okay=False), help="Folder of this user's systemd units.")
def watchdog(command: str | None, alive: str | None, units: Path | None) -> None:
    """Write a systemd timer and print a crontab line that look every five minutes; start either.

    Example: reel builder watchdog --tell "mail -s reelgraph me@example.org"
    """
    from reelgraph.builder.watchdog import recipe, unit_folder, write_script, write_units

    script = write_script(command, alive)
    print(recipe(script, write_units(units or unit_folder(), script)))


COMMANDS = (watch, watchdog)
