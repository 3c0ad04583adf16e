"""Dedicated servers through the Robot webservice: HTTPS, form bodies, JSON answers in a one-key envelope.

What its documentation leaves open, and where each fact comes from, stands in docs/builder.md. Questions are asked up
to four times; what changes something is sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx

from reelgraph.builder.clock import Clock
from reelgraph.builder.credentials import Credentials
from reelgraph.builder.money import FREE, Price, Rate, Terms, parse_amount
from reelgraph.builder.provider import (
    Cancellation,
    Conflict,
    CredentialsRefused,
    FateUnknown,
    NotSent,
    Offer,
    ProviderError,
    RateLimited,
    Server,
    Transaction,
    Unreachable,
)

STANDARD, AUCTION = "standard", "auction"
_CHANNELS = {STANDARD: "/order/server", AUCTION: "/order/server_market"}
# Without this add-on a machine has no IPv4 address and its address stays null.
_ADDRESS = "primary_ipv4"
_TRIES = 4
_DEFAULT_INTERVAL = 3600.0
# Refusals after which nothing was ordered; every other answer to an order leaves its fate open.
_REFUSALS = {400, 401, 403, 404, 412}

Parsed = TypeVar("Parsed")


class _Garbled(Exception):
    """An answer that is not what the webservice documents."""


def connect(credentials: Credentials, clock: Clock) -> Robot:
    """Return a client; nothing is sent yet."""
    return Robot(credentials, clock)


class Robot:
    """A client of the Robot webservice."""

    name = "robot"

    def __init__(
        self,
        credentials: Credentials,
        clock: Clock,
        *,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._client = httpx.Client(
            base_url=credentials.url,
            auth=httpx.BasicAuth(credentials.user, credentials.password),
            headers={"Accept": "application/json", "User-Agent": "reelgraph"},
            # A connection that the other side has silently closed would make an order's fate unknown for nothing.
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=timeout,
            transport=transport,
        )
        self._time: datetime | None = None
        self._silent_until = 0.0
        self._refused: CredentialsRefused | None = None

    def time(self) -> datetime | None:
        """Return the webservice's clock as of its last answer."""
        return self._time

    # Offers

    def offers(self) -> list[Offer]:
        """Return standard and auction machines that have a price."""
        currency = self._currency()
        return [
            offer
            for channel in (STANDARD, AUCTION)
            for product in self._list(f"{_CHANNELS[channel]}/product", "product")
            for offer in _parse(_offers, channel, product, currency)
        ]

    def offer(self, channel: str, id: str, location: str | None) -> Offer | None:
        """Return one offer as it is now."""
        currency = self._currency()
        product = self._get(f"{_CHANNELS[channel]}/product/{id}", "product")
        offers = _parse(_offers, channel, product, currency) if product is not None else []
        return next((offer for offer in offers if offer.id == id and offer.location == location), None)

    def _currency(self) -> str:
        return _parse(lambda: _text(self._get("/order/currency", "currency")))

    # Orders

    def order(self, offer: Offer, fingerprint: str, *, test: bool) -> Transaction:
        """Order; a comment would hand the order to a person, so there is none."""
        form: dict[str, Any] = {"product_id": offer.id, "authorized_key[]": [fingerprint]}
        if offer.terms.address is not None:
            form["addon[]"] = [_ADDRESS]
        if offer.channel == STANDARD and offer.location is not None:
            form["location"] = offer.location
        # The documentation knows no other value than "true": a real order leaves the field out.
        if test:
            form["test"] = "true"
        response = self._change("POST", f"{_CHANNELS[offer.channel]}/transaction", form)
        if response.is_success:
            try:
                return _transaction(offer.channel, _unwrap(response, "transaction"))
            except (_Garbled, ValueError, KeyError, TypeError) as error:
                raise FateUnknown(f"the answer to the order cannot be read ({error})") from error
        if response.status_code in _REFUSALS and (error := _error(response)):
            raise self._refusal(response, error)
        raise FateUnknown(f"the order was answered with status {response.status_code}")

    def transaction(self, channel: str, id: str) -> Transaction | None:
        """Return an order by its id."""
        value = self._get(f"{_CHANNELS[channel]}/transaction/{id}", "transaction")
        return None if value is None else _parse(_transaction, channel, value)

    def transactions(self) -> list[Transaction]:
        """Return the last 30 days' orders of both channels, which are listed apart."""
        return [
            _parse(_transaction, channel, value)
            for channel, path in _CHANNELS.items()
            for value in self._list(f"{path}/transaction", "transaction")
        ]

    # Machines

    def servers(self) -> list[Server]:
        """Return every server of the account."""
        return [_parse(_server, value) for value in self._list("/server", "server")]

    def server(self, number: int) -> Server | None:
        """Return a server by its number."""
        value = self._get(f"/server/{number}", "server")
        return None if value is None else _parse(_server, value)

    def cancellation(self, number: int) -> Cancellation | None:
        """Return a server's cancellation data."""
        value = self._get(f"/server/{number}/cancellation", "cancellation")
        return None if value is None else _parse(_cancellation, value)

    def cancel(self, number: int, now: Cancellation) -> None:
        """Cancel for today. The word on the location is wanted exactly where a reservation is possible."""
        form = {"cancellation_date": "now"}
        if now.reservable:
            form["reserve_location"] = "false"
        response = self._change("POST", f"/server/{number}/cancellation", form)
        if response.is_success:
            return
        error = _error(response)
        if response.status_code in (404, 409) and error:
            raise Conflict(f"server {number}: {error['code']}: {error['message']}")
        if response.status_code in _REFUSALS and error:
            raise self._refusal(response, error)
        raise FateUnknown(f"the cancellation of server {number} was answered with status {response.status_code}")

    def leftovers(self, number: int) -> list[str]:
        """Return the single addresses and subnets of a server; they have a cancellation of their own."""
        found = []
        for path, kind in (("/ip", "ip"), ("/subnet", "subnet")):
            found += [
                f"{kind} {_text(entry.get('ip'))}"
                for entry in self._list(path, kind)
                if entry.get("server_number") == number
            ]
        return found

    # Keys, rescue system, reset

    def upload_key(self, name: str, public_key: str) -> None:
        """Add a key; a conflict means that it is there."""
        response = self._change("POST", "/key", {"name": name, "data": public_key})
        if not response.is_success and response.status_code != 409:
            raise self._refusal(response, _error(response))

    def delete_key(self, fingerprint: str) -> None:
        """Delete a key; not found means that it is gone."""
        response = self._change("DELETE", f"/key/{fingerprint}", None)
        if not response.is_success and response.status_code != 404:
            raise self._refusal(response, _error(response))

    def rescue(self, number: int, fingerprint: str) -> tuple[str, ...]:
        """Switch the rescue system on; the form field has no brackets here, unlike the order's."""
        response = self._change("POST", f"/boot/{number}/rescue", {"os": "linux", "authorized_key": [fingerprint]})
        if not response.is_success:
            raise self._refusal(response, _error(response))
        return _parse(lambda: _fingerprints(_unwrap(response, "rescue").get("host_key")))

    def reset(self, number: int) -> None:
        """Reset by hardware, or by power where that is all there is; "man" would send a technician."""
        options = self._get(f"/reset/{number}", "reset")
        types = [kind for kind in ("hw", "power", "sw") if kind in ((options or {}).get("type") or [])]
        if not types:
            raise ProviderError(
                f"server {number}: has no reset without a technician; restart it in the provider's web page"
            )
        response = self._change("POST", f"/reset/{number}", {"type": types[0]})
        if not response.is_success:
            raise self._refusal(response, _error(response))

    # Transport

    def _list(self, path: str, envelope: str) -> list[dict[str, Any]]:
        # An empty list is answered with 404.
        response = self._ask(path)
        if response is None:
            return []
        value = _parse(response.json)
        if not isinstance(value, list):
            raise Unreachable(f"{path}: expected a list; the provider's answer cannot be used")
        return [_parse(_inner, entry, envelope) for entry in value]

    def _get(self, path: str, envelope: str) -> Any:
        response = self._ask(path)
        return None if response is None else _parse(_unwrap, response, envelope)

    def _ask(self, path: str) -> httpx.Response | None:
        """GET, trying again what may pass; None for "not found"."""
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                self._clock.sleep(2.0 ** (attempt - 1))
            self._check_silence()
            try:
                response = self._client.get(path)
                self._note_time(response)
                error = _error(response)
                if response.is_success:
                    response.json()
                    return response
            except (httpx.RequestError, ValueError) as failure:
                problem = str(failure) or type(failure).__name__
                continue
            if response.status_code == 404 and error:
                return None
            if response.status_code in (401, 403) and error:
                raise self._refusal(response, error)
            problem = f"status {response.status_code}"
        raise Unreachable(f"the provider gives no usable answer to {path} ({problem}); try again later")

    def _change(self, method: str, path: str, form: Mapping[str, Any] | None) -> httpx.Response:
        """Send once. Only what failed before it left is NotSent; what failed later has an unknown fate."""
        self._check_silence()
        try:
            response = self._client.request(method, path, data=form)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise NotSent(f"the provider cannot be reached ({error}); nothing was sent") from error
        except httpx.RequestError as error:
            raise FateUnknown(
                f"{method} {path} was sent and its answer lost ({str(error) or type(error).__name__})"
            ) from error
        self._note_time(response)
        return response

    def _check_silence(self) -> None:
        if self._refused is not None:
            raise self._refused
        left = self._silent_until - self._clock.monotonic()
        if left > 0:
            raise RateLimited(f"the provider asked for silence; try again in {left:.0f} s", left)

    def _note_time(self, response: httpx.Response) -> None:
        try:
            self._time = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError):
            return

    def _is_known(self) -> bool:
        """Whether the credentials are good for reading: ordering is allowed apart from that."""
        try:
            return self._client.get("/server").status_code in (200, 404)
        except httpx.RequestError:
            return False

    def _refusal(self, response: httpx.Response, error: Mapping[str, Any] | None) -> ProviderError:
        if error is None:
            return Unreachable(f"the provider answered with status {response.status_code}")
        words = f"{error['code']}: {error['message']}"
        if response.status_code == 401:
            if "/order" in response.request.url.path and self._is_known():
                return ProviderError(
                    "ordering is not switched on for this webservice user; do so in the provider's web page", status=3
                )
            self._refused = CredentialsRefused(
                f"the provider refused the credentials ({words}); mend them before the next try", status=3
            )
            return self._refused
        if error["code"] == "RATE_LIMIT_EXCEEDED":
            interval = float(error["interval"]) if isinstance(error.get("interval"), int) else _DEFAULT_INTERVAL
            self._silent_until = self._clock.monotonic() + interval
            return RateLimited(f"too many requests ({words}); try again in {interval:.0f} s", interval)
        fields = [str(name) for key in ("missing", "invalid") for name in (error.get(key) or [])]
        return ProviderError(f"the provider refused: {words}{' (' + ', '.join(fields) + ')' if fields else ''}")


def _parse(function: Callable[..., Parsed], *arguments: Any) -> Parsed:
    try:
        return function(*arguments)
    except (_Garbled, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreachable(f"the provider's answer cannot be used ({error})") from error


def _inner(value: Any, envelope: str) -> Any:
    if not isinstance(value, dict) or envelope not in value:
        raise _Garbled(f"no '{envelope}' in it")
    return value[envelope]


def _unwrap(response: httpx.Response, envelope: str) -> Any:
    return _inner(response.json(), envelope)


def _error(response: httpx.Response) -> dict[str, Any] | None:
    """Return the webservice's own error object, or None: a proxy's error page says nothing about the request's fate."""
    try:
        error = response.json()["error"]
        wanted = (
            error["status"] == response.status_code
            and isinstance(error["code"], str)
            and isinstance(error["message"], str)
        )
    except (ValueError, KeyError, TypeError):
        return None
    return error if wanted else None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _Garbled(f"expected a text, not {value!r}")
    return value


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Garbled(f"expected a number, not {value!r}")
    return value


def _offers(channel: str, product: dict[str, Any], currency: str) -> list[Offer]:
    name, description = _text(product["name"]), tuple(map(_text, product["description"]))
    if channel == AUCTION:
        id, hourly = str(_number(product["id"])), _price(product["price_hourly"], product["price_hourly_vat"])
        monthly = _price(product["price"], product["price_vat"])
        setup = _price(product["price_setup"], product["price_setup_vat"])
        # What has no price cannot be ordered.
        if monthly is None or setup is None:
            return []
        terms = Terms(currency, Rate(hourly, monthly), setup, _address(product, None))
        return [Offer(channel, id, product.get("datacenter"), name, description, terms)]
    offers = []
    for entry in product.get("prices") or []:
        rent, setup = _rate(entry["price"]), _price(entry["price_setup"]["net"], entry["price_setup"]["gross"])
        if rent is not None and setup is not None:
            terms = Terms(currency, rent, setup, _address(product, entry["location"]))
            offers.append(Offer(channel, _text(product["id"]), _text(entry["location"]), name, description, terms))
    return offers


def _address(product: dict[str, Any], location: str | None) -> Rate | None:
    for addon in product.get("orderable_addons") or []:
        if addon["id"] == _ADDRESS:
            prices = [entry for entry in addon["prices"] if location is None or entry["location"] == location] or addon[
                "prices"
            ]
            rates = [rate for entry in prices if (rate := _rate(entry["price"]))]
            return max(rates, key=lambda rate: rate.monthly.gross, default=Rate(None, FREE))
    return None


def _rate(value: dict[str, Any]) -> Rate | None:
    monthly = _price(value["net"], value["gross"])
    return None if monthly is None else Rate(_price(value.get("hourly_net"), value.get("hourly_gross")), monthly)


def _price(net: Any, gross: Any) -> Price | None:
    return None if net is None or gross is None else Price(parse_amount(net), parse_amount(gross))


def _transaction(channel: str, value: dict[str, Any]) -> Transaction:
    status = _text(value["status"])
    if status not in ("in process", "ready", "cancelled"):
        raise _Garbled(f"status '{status}' is unknown")
    server, address = value.get("server_number"), value.get("server_ip")
    return Transaction(
        channel,
        _text(value["id"]),
        status,
        None if server is None else _number(server),
        None if address is None else _text(address),
        frozenset(_fingerprints(value.get("authorized_key"))),
        _fingerprints(value.get("host_key")),
    )


def _fingerprints(entries: Any) -> tuple[str, ...]:
    """Return fingerprints from a list of texts or of ``{"key": {"fingerprint": …}}``; clients have met both."""
    return tuple(_text(entry if isinstance(entry, str) else entry["key"]["fingerprint"]) for entry in entries or [])


def _server(value: dict[str, Any]) -> Server:
    return Server(
        _number(value["server_number"]),
        str(value.get("server_name") or ""),
        str(value.get("product") or ""),
        value.get("server_ip"),
        bool(value["cancelled"]),
    )


def _cancellation(value: dict[str, Any]) -> Cancellation:
    day = value.get("cancellation_date")
    return Cancellation(
        bool(value["cancelled"]), date.fromisoformat(day) if day else None, value.get("reservation_possible") is True
    )
