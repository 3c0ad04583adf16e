"""What the webservice's answers say: every field is looked at before it is believed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

import httpx

from reelgraph.builder.money import FREE, Price, Rate, Terms, parse_amount
from reelgraph.builder.provider import Cancellation, Offer, Server, Transaction, Unreachable

STANDARD, AUCTION = "standard", "auction"
# Without this add-on a machine has no IPv4 address and its address stays null.
ADDRESS = "primary_ipv4"

Parsed = TypeVar("Parsed")


class Garbled(Exception):
    """An answer that is not what the webservice documents."""


# What reading an answer raises where it is not what is documented.
UNUSABLE = (Garbled, ValueError, KeyError, TypeError, AttributeError)


def parse(function: Callable[..., Parsed], *arguments: Any) -> Parsed:
    """Return what a function makes of an answer; raise Unreachable where the answer is not what is documented."""
    try:
        return function(*arguments)
    except UNUSABLE as error:
        raise Unreachable(f"the provider's answer cannot be used ({error})") from error


def inner(value: Any, envelope: str) -> Any:
    """Return what is in the one-key envelope."""
    if not isinstance(value, dict) or envelope not in value:
        raise Garbled(f"no '{envelope}' in it")
    return value[envelope]


def unwrap(response: httpx.Response, envelope: str) -> Any:
    """Return what is in the envelope of an answer."""
    return inner(response.json(), envelope)


def error_of(response: httpx.Response) -> dict[str, Any] | None:
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


def text(value: Any) -> str:
    """Return a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise Garbled(f"expected a text, not {value!r}")
    return value


def number(value: Any) -> int:
    """Return a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Garbled(f"expected a number, not {value!r}")
    return value


def offers(channel: str, product: dict[str, Any], currency: str) -> list[Offer]:
    """Return the offers of a product, one for each place; what has no price cannot be ordered."""
    name, description = text(product["name"]), tuple(map(text, product["description"]))
    if channel == AUCTION:
        id, hourly = str(number(product["id"])), _price(product["price_hourly"], product["price_hourly_vat"])
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
            offers.append(Offer(channel, text(product["id"]), text(entry["location"]), name, description, terms))
    return offers


def _address(product: dict[str, Any], location: str | None) -> Rate | None:
    for addon in product.get("orderable_addons") or []:
        if addon["id"] == ADDRESS:
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


def transaction(channel: str, value: dict[str, Any]) -> Transaction:
    """Return an order."""
    status = text(value["status"])
    if status not in ("in process", "ready", "cancelled"):
        raise Garbled(f"status '{status}' is unknown")
    server, address = value.get("server_number"), value.get("server_ip")
    return Transaction(
        channel,
        text(value["id"]),
        status,
        None if server is None else number(server),
        None if address is None else text(address),
        frozenset(fingerprints(value.get("authorized_key"))),
        fingerprints(value.get("host_key")),
    )


def fingerprints(entries: Any) -> tuple[str, ...]:
    """Return fingerprints from a list of texts or of ``{"key": {"fingerprint": …}}``; clients have met both."""
    return tuple(text(entry if isinstance(entry, str) else entry["key"]["fingerprint"]) for entry in entries or [])


def server(value: dict[str, Any]) -> Server:
    """Return a machine."""
    return Server(
        number(value["server_number"]),
        str(value.get("server_name") or ""),
        str(value.get("product") or ""),
        value.get("server_ip"),
        bool(value["cancelled"]),
    )


def cancellation(value: dict[str, Any]) -> Cancellation:
    """Return whether a machine is cancelled, and for when."""
    day = value.get("cancellation_date")
    return Cancellation(
        bool(value["cancelled"]), date.fromisoformat(day) if day else None, value.get("reservation_possible") is True
    )
