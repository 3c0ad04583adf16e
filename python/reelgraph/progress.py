"""Progress lines: what, how far, how fast, how long to go, at least every ten seconds."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar, TypeVar

Item = TypeVar("Item")
INTERVAL_SECONDS = 5.0


class Progress:
    """A counter that a background thread prints, so that a long step inside one item still shows life.

    ``about`` begins every line: Nix's own prefix ends before an episode's number, and stages run beside each other.
    """

    about: ClassVar[str] = ""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self._start = time.monotonic()

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more finished units."""
        self.done += count

    def line(self) -> str:
        """Return the line to print now."""
        elapsed = time.monotonic() - self._start
        rate = self.done / elapsed if elapsed > 0 else 0.0
        to_go = f"{(self.total - self.done) / rate:.0f} s to go" if rate > 0 else f"{elapsed:.0f} s so far"
        return f"{self.about}{self.what}: {self.done}/{self.total} {self.unit}s, {rate:.1f}/s, {to_go}"


@contextmanager
def progress(what: str, total: int, unit: str) -> Iterator[Progress]:
    """Print a Progress line to stderr every few seconds while the block runs, and one at its end."""
    counter, finished = Progress(what, total, unit), threading.Event()

    def report() -> None:
        while not finished.wait(INTERVAL_SECONDS):
            print(counter.line(), file=sys.stderr, flush=True)

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield counter
    finally:
        finished.set()
        thread.join()
    print(counter.line(), file=sys.stderr, flush=True)


def track(items: Iterable[Item], what: str, total: int, unit: str) -> Iterator[Item]:
    """Yield ``items`` while reporting how many are done."""
    with progress(what, total, unit) as counter:
        for item in items:
            yield item
            counter.advance()
