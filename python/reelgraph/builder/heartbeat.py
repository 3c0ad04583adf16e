"""When somebody last looked after the open leases: a machine that nobody watches is a machine that is forgotten."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from reelgraph.builder.clock import as_text, from_text
from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json

# A timer looks every five minutes; two of its looks may fail.
FRESH = timedelta(minutes=15)


class Heartbeat:
    """The moment of the last look that the provider answered, in a folder of this user."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "watched.json"

    def beat(self, now: datetime) -> None:
        """Note a look."""
        temporary = self._file.with_name(self._file.name + ".new")
        write_json(temporary, {"at": as_text(now)})
        temporary.replace(self._file)

    def last(self) -> datetime | None:
        """Return when the last look was, or None if there was none that can be read."""
        try:
            return from_text(read_json(self._file)["at"])
        except (OSError, StageError, KeyError, TypeError, ValueError):
            return None

    def is_fresh(self, now: datetime) -> bool:
        """Whether somebody watches; a look that is still to come proves nothing."""
        last = self.last()
        return last is not None and timedelta(minutes=-1) <= now - last <= FRESH

    def describe(self, now: datetime) -> str:
        """Return a line about who watches."""
        last = self.last()
        if last is None:
            return "NOBODY WATCHES: 'reel builder watch' never looked; see 'reel builder watchdog'"
        minutes = (now - last).total_seconds() / 60
        if self.is_fresh(now):
            return f"watched {max(0.0, minutes):.0f} min ago"
        return f"NOBODY WATCHES: 'reel builder watch' last looked at {as_text(last)}; see 'reel builder watchdog'"


def check_watched(heartbeat: Heartbeat, now: datetime) -> None:
    """Raise a StageError unless somebody watches: nothing is rented that nobody would end."""
    if not heartbeat.is_fresh(now):
        raise StageError(
            f"{heartbeat.describe(now)}; start it on a machine that stays on, here or with a copy of this journal, "
            "or say --watched-elsewhere",
            status=3,
        )
