"""A fake Robot webservice: a real HTTP server on loopback with an account behind it that bills, forgets and fails.

What it does follows docs/builder.md's table of what is documented or measured. The account's own clock is moved by the
test. Each request can be given a fault; "before" and "after" say on which side of the effect it strikes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

USER, PASSWORD = "#ws+tester", "correct horse battery staple"
# What a fault does to one request.
FAULTS = (
    "drop-before",
    "drop-after",
    "stall-before",
    "stall-after",
    "error-before",
    "error-after",
    "page-before",
    "garbage-after",
    "truncated-after",
    "rate-limit",
    "late",
)
# How long the webservice is silent at most: until the client goes away.
_SILENCE_SECONDS = 120


def addon(net: str = "1.70", gross: str = "2.02") -> dict[str, Any]:
    """Return the add-on without which a machine has no IPv4 address."""
    price = {"net": net, "gross": gross, "hourly_net": "0.0027", "hourly_gross": "0.0033"}
    setup = {"net": "0.0000", "gross": "0.0000"}
    return {
        "id": "primary_ipv4",
        "name": "Primary IPv4",
        "location": None,
        "min": 0,
        "max": 1,
        "prices": [{"location": place, "price": price, "price_setup": setup} for place in ("FSN1", "HEL1")],
    }


def auction(
    number: int, gpu: str | None, hourly: str | None, monthly: str | None, setup: str = "0.0000", **more: Any
) -> dict[str, Any]:
    """Return an auction offer; gross prices are 1.19 times the net ones."""

    def gross(net: str | None) -> str | None:
        return None if net is None else f"{float(net) * 1.19:.4f}"

    return {
        "id": number,
        "name": "Server Auction",
        "description": [
            "AMD EPYC 7502P",
            "4x RAM 64 GB DDR4",
            "2x SSD U.2 NVMe 1,92 TB Datacenter",
            *([gpu] if gpu else []),
        ],
        "traffic": "unlimited",
        "dist": ["Rescue system"],
        "lang": ["en"],
        "datacenter": "FSN1-DC7",
        "cpu": "AMD EPYC 7502P",
        "memory_size": 256,
        "price": monthly,
        "price_hourly": hourly,
        "price_setup": setup,
        "price_vat": gross(monthly),
        "price_hourly_vat": gross(hourly),
        "price_setup_vat": gross(setup),
        "fixed_price": False,
        "next_reduce": -10800,
        "orderable_addons": [addon()],
        **more,
    }


def standard(
    id: str, gpu: str, hourly: str, monthly: str, setup: str, locations: tuple[str, ...] = ("FSN1",)
) -> dict[str, Any]:
    """Return a standard product that is let at ``locations``."""

    def both(name: str, net: str) -> dict[str, str]:
        return {f"{name}net": net, f"{name}gross": f"{float(net) * 1.19:.4f}"}

    return {
        "id": id,
        "name": f"Dedicated Server {id}",
        "description": ["Intel Core i5-13500", "64 GB DDR4 RAM", "2 x 1.92 TB NVMe SSD", gpu],
        "traffic": "unlimited",
        "dist": ["Rescue system"],
        "lang": ["en"],
        "location": list(locations),
        "prices": [
            {
                "location": place,
                "price": {**both("", monthly), **both("hourly_", hourly)},
                "price_setup": both("", setup),
            }
            for place in locations
        ],
        "orderable_addons": [addon()],
    }


def fingerprint(public_key: str) -> str:
    """Return a public key's MD5 fingerprint as the webservice writes it."""
    digest = hashlib.md5(base64.b64decode(public_key.split()[1]), usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, 32, 2))


@dataclass
class Machine:
    """A machine of the account. It is billed from the moment that it exists until its cancellation's day."""

    number: int
    address: str | None
    product: str
    listed_at: datetime
    fingerprint: str | None = None
    cancelled_for: date | None = None
    host_keys: list[str] = field(default_factory=list)


@dataclass
class Order:
    """An order that was taken."""

    id: str
    channel: str
    product: dict[str, Any]
    fingerprint: str
    ready_at: datetime
    effective_at: datetime
    status: str = "in process"
    machine: Machine | None = None


class Account:
    """The state behind the webservice, and the oracle: what is really billed."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.time = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
        self.auctions = [
            auction(3052441, "Nvidia RTX™ 6000 Ada Generation", "1.2400", "771.0000"),
            auction(3052442, "GeForce GTX 1080", "0.1500", "90.0000"),
            auction(3052443, None, "0.0800", "45.0000"),
        ]
        self.products = [
            standard("GEX45", "NVIDIA RTX PRO™ 4000 Blackwell SFF Edition", "0.3402", "212.3000", "209.0000")
        ]
        self.currency = "EUR"
        self.keys: dict[str, str] = {}
        self.orders: list[Order] = []
        self.machines: dict[int, Machine] = {}
        self.addresses: list[dict[str, Any]] = []
        self.ready_after = timedelta(minutes=7)
        self.listed_after = timedelta(minutes=1)
        self.late_after = timedelta(minutes=9)
        self.new_address: str | None = None
        self.reservable = False
        self.transfer = False
        self.dated_cancellation: timedelta | None = None
        self.vanishes = True
        self.ordering = True
        self.rescue_host_keys = ["15:28:b0:03:95:f0:77:b3:10:56:15:6b:77:22:a5:bb"]
        self.resets: list[tuple[int, str]] = []
        self.rescues: list[int] = []
        self.reset_types = ["sw", "hw", "man"]
        # What came in, for assertions: (method, path), forms of orders, logins that failed.
        self.requests: list[tuple[str, str]] = []
        self.sent_orders: list[dict[str, list[str]]] = []
        self.cancelled: list[int] = []
        self.failed_logins = 0
        # Set when a request had its effect, or has none, and is left without an answer.
        self.silent = threading.Event()
        # Returns the fault of a request, or None; called once for each request.
        self.fault: Callable[[str, str], str | None] = lambda method, path: None
        # Called around a request's effect, with "before" or "after".
        self.hook: Callable[[str, str, str], None] = lambda method, path, when: None
        self._next = 0

    def advance(self, seconds: float) -> None:
        """Let time pass: orders become effective, then ready."""
        with self.lock:
            self.time += timedelta(seconds=seconds)
            self._settle()

    def _settle(self) -> None:
        for order in self.orders:
            if order.status == "in process" and order.machine is None and order.ready_at <= self.time:
                number = order.product["id"] if isinstance(order.product["id"], int) else 2000000 + len(self.machines)
                address = self.new_address or f"192.0.2.{len(self.machines) + 10}"
                machine = Machine(
                    number, address, order.product["name"], self.time + self.listed_after, order.fingerprint
                )
                machine.host_keys = list(self.rescue_host_keys)
                self.machines[number] = order.machine = machine
                order.status = "ready"

    def add_machine(self, number: int, address: str = "192.0.2.1") -> Machine:
        """Put a machine on the account that nobody ordered through this project."""
        self.machines[number] = Machine(number, address, "AX52", self.time)
        return self.machines[number]

    def billed(self) -> dict[int, Machine]:
        """Return the machines that cost money now."""
        with self.lock:
            today = self.time.date()
            return {
                number: machine
                for number, machine in self.machines.items()
                if machine.cancelled_for is None or machine.cancelled_for > today
            }

    def pending(self) -> list[Order]:
        """Return the orders that will become a machine."""
        with self.lock:
            return [order for order in self.orders if order.status == "in process"]

    # The webservice

    def answer(self, method: str, path: str, form: dict[str, list[str]], *, late: bool = False) -> tuple[int, Any]:
        """Carry out a request; ``late`` puts an order's effect off."""
        with self.lock:
            self._settle()
            parts = path.strip("/").split("/")
            match method, parts:
                case "GET", ["order", "currency"]:
                    return 200, {"currency": self.currency}
                case "GET", ["order", kind, "product"]:
                    return self._list([{"product": product} for product in self._catalogue(kind)])
                case "GET", ["order", kind, "product", id]:
                    found = [product for product in self._catalogue(kind) if str(product["id"]) == id]
                    return (200, {"product": found[0]}) if found else _error(404, "NOT_FOUND", "product not found")
                case "POST", ["order", kind, "transaction"]:
                    return self._order(kind, form, late)
                case "GET", ["order", kind, "transaction"]:
                    listed = [
                        order for order in self.orders if order.channel == kind and order.effective_at <= self.time
                    ]
                    return self._list([{"transaction": _transaction(order)} for order in listed])
                case "GET", ["order", kind, "transaction", id]:
                    for order in self.orders:
                        if order.channel == kind and order.id == id and order.effective_at <= self.time:
                            return 200, {"transaction": _transaction(order)}
                    return _error(404, "NOT_FOUND", "transaction not found")
                case "GET", ["server"]:
                    return self._list(
                        [{"server": self._server(machine)} for machine in self._listed()], "SERVER_NOT_FOUND"
                    )
                case "GET", ["server", number]:
                    machine = next((machine for machine in self._listed() if machine.number == int(number)), None)
                    return (200, {"server": self._server(machine)}) if machine else _no_server(number)
                case "GET", ["server", number, "cancellation"]:
                    machine = next((machine for machine in self._listed() if machine.number == int(number)), None)
                    return (200, {"cancellation": self._cancellation(machine)}) if machine else _no_server(number)
                case "POST", ["server", number, "cancellation"]:
                    return self._cancel(int(number), form)
                case "POST", ["key"]:
                    name = fingerprint(form["data"][0])
                    if name in self.keys:
                        return _error(409, "KEY_ALREADY_EXISTS", "key exists")
                    self.keys[name] = form["data"][0]
                    return 201, {"key": {"name": form["name"][0], "fingerprint": name, "type": "ED25519", "size": 256}}
                case "DELETE", ["key", name]:
                    return (200, None) if self.keys.pop(name, None) else _error(404, "NOT_FOUND", "key not found")
                case "GET", ["ip"]:
                    return self._list([{"ip": entry} for entry in self.addresses])
                case "GET", ["subnet"]:
                    return _error(404, "NOT_FOUND", "no subnets found")
                case "POST", ["boot", number, "rescue"]:
                    self.rescues.append(int(number))
                    return 200, {
                        "rescue": {
                            "os": "linux",
                            "active": True,
                            "password": PASSWORD,
                            "host_key": self.rescue_host_keys,
                        }
                    }
                case "GET", ["reset", number]:
                    return 200, {
                        "reset": {"server_number": int(number), "type": self.reset_types, "operating_status": "running"}
                    }
                case "POST", ["reset", number]:
                    self.resets.append((int(number), form["type"][0]))
                    return 200, {"reset": {"server_number": int(number), "type": form["type"][0]}}
            return _error(404, "NOT_FOUND", f"{method} {path} is not part of this fake")

    def _catalogue(self, kind: str) -> list[dict[str, Any]]:
        return self.auctions if kind == "server_market" else self.products

    def _list(self, entries: list[Any], code: str = "NOT_FOUND") -> tuple[int, Any]:
        return (200, entries) if entries else _error(404, code, "nothing found")

    def _listed(self) -> list[Machine]:
        return [
            machine
            for machine in self.machines.values()
            if machine.listed_at <= self.time
            and not (self.vanishes and machine.cancelled_for is not None and machine.cancelled_for <= self.time.date())
        ]

    def _order(self, kind: str, form: dict[str, list[str]], late: bool) -> tuple[int, Any]:
        self.sent_orders.append(form)
        missing = [name for name in ("product_id", "authorized_key[]") if name not in form]
        if missing:
            return _error(400, "INVALID_INPUT", "invalid input", missing=missing, invalid=None)
        product = next((entry for entry in self._catalogue(kind) if str(entry["id"]) == form["product_id"][0]), None)
        key = form["authorized_key[]"][0]
        if product is None or key not in self.keys:
            return _error(
                400,
                "INVALID_INPUT",
                "invalid input",
                missing=None,
                invalid=["product_id" if product is None else "authorized_key"],
            )
        self._next += 1
        delay = self.late_after if late else timedelta(0)
        id = f"B20261123-{3000000 + self._next}-{251478 + self._next}"
        order = Order(id, kind, product, key, self.time + delay + self.ready_after, self.time + delay)
        if form.get("test") == ["true"]:
            order.status = "cancelled"
            return 201, {"transaction": _transaction(order)}
        self.orders.append(order)
        if kind == "server_market":
            self.auctions = [entry for entry in self.auctions if entry is not product]
        return 201, {"transaction": _transaction(order)}

    def _server(self, machine: Machine) -> dict[str, Any]:
        return {
            "server_ip": machine.address,
            "server_ipv6_net": "2001:db8::",
            "server_number": machine.number,
            "server_name": "",
            "product": machine.product,
            "dc": "FSN1-DC7",
            "status": "ready",
            "cancelled": machine.cancelled_for is not None,
            "paid_until": "2026-12-23",
        }

    def _cancellation(self, machine: Machine) -> dict[str, Any]:
        return {
            "server_number": machine.number,
            "earliest_cancellation_date": self.time.date().isoformat(),
            "cancelled": machine.cancelled_for is not None,
            "reservation_possible": self.reservable,
            "reservation": False,
            "cancellation_date": machine.cancelled_for.isoformat() if machine.cancelled_for else None,
            "cancellation_reason": ["Upgrade to a new server", "Other"],
        }

    def _cancel(self, number: int, form: dict[str, list[str]]) -> tuple[int, Any]:
        machine = self.machines.get(number)
        if machine is None or machine not in self._listed():
            return _no_server(str(number))
        if machine.cancelled_for is not None or self.transfer:
            return _error(409, "CONFLICT", "the server is already cancelled or in transfer")
        reserve = form.get("reserve_location")
        if self.reservable and reserve is None:
            return _error(400, "INVALID_INPUT", "invalid input", missing=["reserve_location"], invalid=None)
        if not self.reservable and reserve == ["true"]:
            return _error(
                409, "SERVER_CANCELLATION_RESERVE_LOCATION_FALSE_ONLY", "it is not possible to reserve the location"
            )
        assert form["cancellation_date"] == ["now"]
        machine.cancelled_for = self.time.date() + (self.dated_cancellation or timedelta(0))
        self.cancelled.append(number)
        return 200, {"cancellation": {**self._cancellation(machine), "reserved": False}}


def _transaction(order: Order) -> dict[str, Any]:
    machine = order.machine
    return {
        "id": order.id,
        "date": "2026-11-23T12:00:00+01:00",
        "status": order.status,
        "server_number": machine.number if machine else None,
        "server_ip": machine.address if machine else None,
        "authorized_key": [
            {"key": {"name": "reelgraph", "fingerprint": order.fingerprint, "type": "ED25519", "size": 256}}
        ],
        "host_key": [
            {"key": {"fingerprint": name, "type": "ED25519", "size": 256}}
            for name in (machine.host_keys if machine else [])
        ],
        "comment": None,
        "product": {"id": order.product["id"], "name": order.product["name"]},
        "addons": ["primary_ipv4"],
    }


def _error(status: int, code: str, message: str, **more: Any) -> tuple[int, Any]:
    return status, {"error": {"status": status, "code": code, "message": message, **more}}


def _no_server(number: str) -> tuple[int, Any]:
    return _error(404, "SERVER_NOT_FOUND", f"Server with id {number} not found")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer: two would wait 40 ms for each other.
    wbufsize = 65536
    account: Account

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def date_time_string(self, timestamp: float | None = None) -> str:
        """Return the account's own time."""
        return format_datetime(self.account.time, usegmt=True)

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    do_POST = do_DELETE = do_GET

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        account, method, path = self.account, self.command, self.path
        account.requests.append((method, path))
        account.hook(method, path, "before")
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {login}":
            account.failed_logins += 1
            return self._reply(*_error(401, "UNAUTHORIZED", "Unauthorized"))
        if path.startswith("/order") and not account.ordering:
            return self._reply(*_error(401, "UNAUTHORIZED", "Unauthorized"))
        fault = account.fault(method, path)
        if fault == "rate-limit":
            return self._reply(
                *_error(403, "RATE_LIMIT_EXCEEDED", "rate limit exceeded", max_requests=200, interval=600)
            )
        if fault == "page-before":
            return self._send(502, b"<html>Bad Gateway</html>", "text/html")
        if fault == "error-before":
            return self._reply(*_error(500, "INTERNAL_ERROR", "internal error"))
        if fault in ("drop-before", "stall-before"):
            return self._drop(account, fault)
        status, value = account.answer(method, path, parse_qs(body), late=fault == "late")
        account.hook(method, path, "after")
        if fault in ("drop-after", "stall-after", "late"):
            return self._drop(account, fault)
        if fault == "error-after":
            return self._reply(*_error(500, "INTERNAL_ERROR", "internal error"))
        if fault == "garbage-after":
            return self._send(200, b'{"transaction": {"id": 7, "status": "perhaps"', "application/json")
        if fault == "truncated-after":
            content = json.dumps(value).encode()
            return self._send(status, content[: len(content) // 2], "application/json", length=len(content))
        return self._reply(status, value)

    def _reply(self, status: int, value: Any) -> None:
        self._send(status, b"" if value is None else json.dumps(value).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)
        if length is not None:
            self.close_connection = True

    def _drop(self, account: Account, fault: str) -> None:
        if fault.startswith("stall"):
            account.silent.set()
            self.connection.settimeout(_SILENCE_SECONDS)
            with suppress(OSError):
                self.connection.recv(1)
        self.close_connection = True


class Service:
    """The HTTP server; the account behind it can be exchanged between two tests."""

    def __init__(self, account: Account) -> None:
        self._handler = type("Handler", (_Handler,), {"account": account})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def serve(self, account: Account) -> None:
        """Serve another account from now on."""
        self._handler.account = account

    def stop(self) -> None:
        """End the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(account: Account) -> Iterator[str]:
    """Serve an account on a loopback port and yield the webservice's address."""
    service = Service(account)
    try:
        yield service.url
    finally:
        service.stop()
