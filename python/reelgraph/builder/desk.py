"""What every step of a lease works with: the provider, the journal, the clock, and somebody to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from reelgraph.builder.clock import Clock
from reelgraph.builder.journal import Journal
from reelgraph.builder.lease import Lease, fold
from reelgraph.builder.provider import Provider
from reelgraph.errors import StageError


@dataclass(frozen=True)
class Desk:
    """One provider's desk. ``say`` shows a line to the user."""

    provider: Provider
    journal: Journal
    clock: Clock
    say: Callable[[str], None]

    def now(self) -> datetime:
        """Return the provider's time, or this machine's before the provider said anything."""
        return self.provider.time() or self.clock.now()

    def leases(self) -> dict[str, Lease]:
        """Return every lease of the journal at this provider."""
        leases = fold(self.journal.entries())
        return {id: lease for id, lease in leases.items() if lease.provider == self.provider.name}

    def lease(self, id: str) -> Lease:
        """Return a lease as the journal has it now."""
        return self.leases()[id]

    def keys(self, lease: str) -> Path:
        """Return the folder of a lease's SSH keys."""
        return self.journal.folder / "keys" / lease


def choose(leases: dict[str, Lease], id: str | None) -> Lease:
    """Return the lease of an id, or the only open one."""
    if id is not None:
        if id not in leases:
            raise StageError(f"lease '{id}' is not in the journal; 'reel builder status --all' lists them", status=2)
        return leases[id]
    open_leases = [lease for lease in leases.values() if lease.is_open]
    if not open_leases:
        raise StageError("the journal has no open lease", status=3)
    if len(open_leases) > 1:
        raise StageError(
            f"several leases are open ({'; '.join(lease.description for lease in open_leases)}); name one", status=2
        )
    return open_leases[0]
