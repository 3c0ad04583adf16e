"""What the renting code asks of a company that lets machines, and what it may be told in return.

A second company is one more module in ``providers/`` with a ``connect``; commands, journal and safety rules stay as
they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from reelgraph.builder.clock import Clock
from reelgraph.builder.credentials import Credentials
from reelgraph.builder.money import Terms
from reelgraph.errors import StageError


@dataclass(frozen=True)
class Offer:
    """A machine that can be ordered now. ``channel`` and ``id`` are the provider's own words for it."""

    channel: str
    id: str
    location: str | None
    name: str
    description: tuple[str, ...]
    terms: Terms


@dataclass(frozen=True)
class Transaction:
    """An order as the provider has it: ``status`` is "in process", "ready" or "cancelled"."""

    channel: str
    id: str
    status: str
    server: int | None
    address: str | None
    fingerprints: frozenset[str]
    host_keys: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """A machine on the account."""

    number: int
    name: str
    product: str
    address: str | None
    cancelled: bool


@dataclass(frozen=True)
class Cancellation:
    """Whether a machine is cancelled and for when. ``reservable`` asks for a word on the location."""

    cancelled: bool
    date: date | None
    reservable: bool


class ProviderError(StageError):
    """The provider did not do what was asked, and it is certain that nothing changed."""


class CredentialsRefused(ProviderError):
    """The provider does not know these credentials, or they may not do this; trying again makes it worse."""


class RateLimited(ProviderError):
    """Too many requests; ``seconds`` is how long to stop."""

    def __init__(self, sentence: str, seconds: float) -> None:
        super().__init__(sentence)
        self.seconds = seconds


class Unreachable(ProviderError):
    """No usable answer to a question that changes nothing, after several tries."""


class Conflict(ProviderError):
    """The provider says that this is already so, or cannot be now."""


class NotSent(ProviderError):
    """The request never left this machine."""


class FateUnknown(StageError):
    """A request that changes something was sent, and nobody knows whether it took effect."""


class Provider(Protocol):
    """A company that lets machines. Every method may raise the errors above and no others.

    Methods that only ask may try several times. Those that change something are sent once.
    """

    name: str

    def offers(self) -> list[Offer]:
        """Return everything that can be ordered now; prices that are not known make an offer impossible to order."""

    def offer(self, channel: str, id: str, location: str | None) -> Offer | None:
        """Return one offer as it is now, or None if it is gone."""

    def order(self, offer: Offer, fingerprint: str, *, test: bool) -> Transaction:
        """Order a machine with the SSH key of a fingerprint on it; sent once."""

    def transaction(self, channel: str, id: str) -> Transaction | None:
        """Return an order, or None if the provider does not list it."""

    def transactions(self) -> list[Transaction]:
        """Return the orders that the provider lists, of all channels."""

    def servers(self) -> list[Server]:
        """Return every machine of the account."""

    def server(self, number: int) -> Server | None:
        """Return a machine of the account, or None."""

    def cancellation(self, number: int) -> Cancellation | None:
        """Return whether and for when a machine is cancelled, or None if there is no such machine."""

    def cancel(self, number: int, now: Cancellation) -> None:
        """Cancel a machine at once; sent once. ``now`` is what ``cancellation`` said."""

    def leftovers(self, number: int) -> list[str]:
        """Return what else is billed with a machine and may outlive it, as people name it."""

    def upload_key(self, name: str, public_key: str) -> None:
        """Make an SSH key known; one that is known already is fine."""

    def delete_key(self, fingerprint: str) -> None:
        """Forget an SSH key; one that is unknown is fine."""

    def rescue(self, number: int, fingerprint: str) -> tuple[str, ...]:
        """Have the machine start its rescue system next, and return the host keys' fingerprints that it will show."""

    def reset(self, number: int) -> None:
        """Restart the machine by its own means, never by a technician."""

    def time(self) -> datetime | None:
        """Return the provider's own clock as of its last answer."""


class Connect(Protocol):
    """How a provider's module opens a connection."""

    def __call__(self, credentials: Credentials, clock: Clock) -> Provider:
        """Return the provider; nothing is sent yet."""
