"""Progress through bytes, in a unit in which the last line is not rounded to nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from reelgraph.progress import progress

_UNITS = (("megabyte", 1_000_000), ("kilobyte", 1_000))


@contextmanager
def byte_progress(what: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Report bytes while the block runs; it calls what it is given with each count of further ones, from any thread."""
    unit, size = next(((unit, size) for unit, size in _UNITS if total_bytes >= size), ("byte", 1))
    done, one_at_a_time = 0, threading.Lock()
    with progress(what, round(total_bytes / size), unit) as counter:

        def on_bytes(count: int) -> None:
            nonlocal done
            with one_at_a_time:
                done += count
                counter.done = round(done / size)

        yield on_bytes
