"""Time as the renting code sees it, so that a test can make it jump."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The wall clock, a clock that never jumps, and waiting."""

    def now(self) -> datetime:
        """Return the wall clock's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds of a clock that never jumps."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class Deadline:
    """So many seconds from now, whatever the wall clock does."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._end = clock, clock.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds to go; 0 once it has passed."""
        return max(0.0, self._end - self._clock.monotonic())

    def wait(self, seconds: float) -> bool:
        """Sleep ``seconds``, or what is left; return whether there is time left."""
        self._clock.sleep(min(seconds, self.left))
        return self.left > 0


def as_text(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC with whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_text(text: str) -> datetime:
    """Return the moment of ``as_text``."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
