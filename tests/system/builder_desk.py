"""A desk at the fake webservice: the project's own client, journal and steps, with time that a test moves."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest import mock

import httpx
from builder_robot import PASSWORD, USER, Account, serving

from reelgraph.builder import keys
from reelgraph.builder.clock import Clock
from reelgraph.builder.credentials import Credentials, read_credentials
from reelgraph.builder.desk import Desk
from reelgraph.builder.journal import Journal
from reelgraph.builder.lease import Lease
from reelgraph.builder.order import Caps, place_order
from reelgraph.builder.providers.robot.client import Robot
from reelgraph.builder.providers.robot.transport import Webservice
from reelgraph.builder.quote import Quote, Wanted, rank

CAPS = Caps(Decimal(3), Decimal(300), Decimal(500))
_NO_TLS = ssl.create_default_context()


class AccountClock(Clock):
    """The account's time plus what a test made this machine's wall clock jump by; sleeping moves the account's time."""

    def __init__(self, account: Account) -> None:
        self._account, self._start = account, account.time
        self.jump = timedelta(0)

    def now(self) -> datetime:
        """Return this machine's wall clock."""
        return (self._account.time + self.jump).astimezone(UTC)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return (self._account.time - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        """Let the account's time pass."""
        self._account.advance(seconds)


class Impatient(httpx.HTTPTransport):
    """The real transport, which waits but a moment for the answer to an order that the webservice is silent on.

    It goes on once the webservice is silent: a slow one would have the order take effect later, at any time.
    """

    silent: threading.Event | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send."""
        if self.silent is None or request.method != "POST" or not request.url.path.endswith("/transaction"):
            return super().handle_request(request)
        request.extensions["timeout"] = {**request.extensions["timeout"], "read": 0.05}
        try:
            return super().handle_request(request)
        except httpx.ReadTimeout:
            assert self.silent.wait(60)
            self.silent.clear()
            raise


@dataclass
class Office:
    """A person with credentials, a journal folder and a clock; ``desk()`` is what one process has of it."""

    account: Account
    url: str
    folder: Path
    clock: AccountClock
    said: list[str] = field(default_factory=list)
    transport: Callable[[], httpx.BaseTransport] = lambda: Impatient(verify=_NO_TLS)

    def credentials(self, password: str = PASSWORD) -> Credentials:
        """Return credentials read from a private file."""
        file = self.folder / "robot.json"
        text = json.dumps({"url": self.url, "user": USER, "password": password})
        if not file.exists() or file.read_text() != text:
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o600)
        return read_credentials(file)

    def desk(self) -> Desk:
        """Return a new process's desk: everything that is not on disk is new."""
        robot = Robot(Webservice(self.credentials(), self.clock, transport=self.transport()))
        return Desk(robot, Journal(self.folder / "state", self.clock), self.clock, self.said.append)

    def quote(self, hours: int = 10) -> Quote:
        """Return the cheapest quote for a GPU of 20 GB or more."""
        desk = self.desk()
        offers = desk.provider.offers()
        return rank("robot", offers, Wanted(Decimal(hours), 20, (8, 0)), desk.now()).quotes[0]

    def rent(self, hours: int = 10, **more: object) -> Lease:
        """Order the cheapest machine for real."""
        return place_order(self.desk(), self.quote(hours), caps=CAPS, confirm=agree, **more)  # type: ignore[arg-type]


def agree(question: str) -> str:
    """Type what the question asks for."""
    if question.endswith("'"):
        return question.rsplit("'", 2)[1]
    amount, currency = question.split(" costs ")[1].split()[:2]
    return f"{amount} {currency}"


@contextmanager
def open_office(folder: Path) -> Iterator[Office]:
    """Serve a new account and yield an office at it, with keys that are made quickly."""
    account = Account()
    with serving(account) as url:
        yield Office(account, url, folder, AccountClock(account))


@contextmanager
def quick_keys() -> Iterator[None]:
    """Make throwaway keys without a process for each: ssh-keygen would take most of a thousand schedules' time."""
    made = iter(range(1_000_000))

    def make_key(folder: Path, name: str) -> keys.KeyPair:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        import base64

        blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + next(made).to_bytes(8, "big")).decode()
        (folder / name).write_text("private\n")
        (folder / f"{name}.pub").write_text(f"ssh-ed25519 {blob} reelgraph\n")
        return keys.read_key(folder / name)

    with mock.patch("reelgraph.builder.order.make_key", make_key):
        yield
