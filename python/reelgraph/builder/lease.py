"""A lease, as the journal's entries add up to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum

from reelgraph.builder.clock import as_text, from_text
from reelgraph.builder.journal import ACCOUNT, Entry
from reelgraph.builder.money import Price, show_amount
from reelgraph.builder.quote import Quote, quote_from_json
from reelgraph.errors import StageError


class State(Enum):
    """Where a lease stands. From AMBIGUOUS up to GONE it counts as open."""

    INTENDED = "intended"  # written down, certainly not sent
    AMBIGUOUS = "ambiguous"  # sent, fate unknown
    ORDERED = "ordered"  # taken by the provider, not ready
    READY = "ready"  # a machine is there and billed
    GONE = "gone"  # verified as not billed, not cleaned up
    CLOSED = "closed"


_OPEN = {State.AMBIGUOUS, State.ORDERED, State.READY, State.GONE}


@dataclass
class Lease:
    """One intent to rent a machine and what became of it; ``quote`` is None for a machine named by number only."""

    id: str
    started_at: datetime
    quote: Quote | None = None
    test: bool = False
    fingerprint: str | None = None
    state: State = State.INTENDED
    transaction: str | None = None
    server: int | None = None
    address: str | None = None
    rescue_host_keys: tuple[str, ...] = ()
    listed: bool = False
    cancel_wanted: bool = False
    cancel_sent: bool = False
    installed: bool = False
    expires_at: datetime | None = None
    suspects: tuple[int, ...] = ()
    outcome: str = ""
    events: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether there may be a machine, or something of it is left to clean up."""
        return self.state in _OPEN

    @property
    def provider(self) -> str:
        """The provider's name; none for a machine that is named by number only."""
        return self.quote.provider if self.quote else ""

    def age_hours(self, now: datetime) -> Decimal:
        """Return the hours since the order."""
        return max(Decimal(0), Decimal(str((now - self.started_at).total_seconds())) / 3600)

    def cost(self, now: datetime) -> Price | None:
        """Return what the lease has cost by now at most, counted from the order; None without a quote."""
        return self.quote.terms.total(self.age_hours(now)) if self.quote else None

    @property
    def description(self) -> str:
        """Name the lease, and by number what it is at the provider."""
        parts = [f"lease {self.id}"]
        if self.server is not None:
            parts.append(f"server {self.server}")
        elif self.transaction:
            parts.append(f"order {self.transaction}")
        if self.suspects:
            parts.append(f"perhaps server {' or '.join(map(str, self.suspects))}")
        return ", ".join(parts)


def fold(entries: Iterable[Entry]) -> dict[str, Lease]:
    """Return every lease by its id, oldest first."""
    leases: dict[str, Lease] = {}
    for entry in entries:
        if entry.lease == ACCOUNT:
            continue
        lease = leases.setdefault(entry.lease, Lease(entry.lease, entry.at))
        lease.events.append(entry.event)
        _apply(lease, entry)
    return leases


def known_servers(entries: Iterable[Entry]) -> set[int]:
    """Return the machines that a person declared to be none of ours."""
    return {entry.details["server"] for entry in entries if entry.lease == ACCOUNT and entry.event == "known-server"}


def extended_end(lease: Lease, now: datetime, hours: Decimal, cap: Decimal | None) -> str:
    """Return a lease's new end, ``hours`` from now; raise a StageError if it would then cost more than allowed."""
    if not lease.is_open or lease.quote is None:
        raise StageError(f"{lease.description} is {lease.state.value}; only an open lease has an end to move")
    terms = lease.quote.terms
    total = terms.total(lease.age_hours(now) + hours).gross
    allowed = lease.quote.total.gross if cap is None else cap
    if total > allowed:
        shown, most = show_amount(total, terms.currency), show_amount(allowed, terms.currency)
        raise StageError(
            f"{lease.description}: would cost {shown} with tax by then, more than the "
            f"{'quoted total' if cap is None else 'cap'} of {most}; allow it with --max-total"
        )
    return as_text(now + timedelta(seconds=float(hours) * 3600))


def orders_since(entries: Iterable[Entry], moment: datetime) -> int:
    """Return how many orders, tests among them, were sent after ``moment``, also those with a time to come."""
    return sum(1 for entry in entries if entry.event == "sending" and entry.at > moment)


def _apply(lease: Lease, entry: Entry) -> None:
    details = entry.details
    match entry.event:
        case "intent":
            lease.quote = quote_from_json(details["quote"])
            lease.test, lease.fingerprint = details["test"], details["fingerprint"]
            lease.expires_at = from_text(details["expires_at"])
            # By the provider's clock, as the end is: this machine's may have been wrong.
            lease.started_at = lease.expires_at - timedelta(seconds=float(lease.quote.hours) * 3600)
        case "sending":
            lease.state = State.AMBIGUOUS
        case "ordered":
            lease.state, lease.transaction, lease.suspects = State.ORDERED, details["transaction"], ()
        case "ready":
            lease.state, lease.server, lease.suspects = State.READY, details["server"], ()
            lease.address = details.get("address")
            lease.rescue_host_keys = tuple(details.get("host_keys", ()))
        case "listed":
            lease.listed = True
        case "suspect":
            lease.suspects = tuple(sorted({*lease.suspects, details["server"]}))
        case "extended":
            lease.expires_at = from_text(details["expires_at"])
        case "cancel-wanted":
            lease.cancel_wanted = True
        case "cancel-sent":
            lease.cancel_sent = True
        case "installed":
            lease.installed = True
        case "gone":
            lease.state = State.GONE
        case "closed":
            lease.state, lease.outcome = State.CLOSED, details["outcome"]
