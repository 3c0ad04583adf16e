"""Money as decimals, never as floats: prices net and gross, and what a lease costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_UP, Decimal, InvalidOperation
from typing import Any

# A month's rent is billed at most once for each started span of this many hours; no month is shorter.
MONTH_HOURS = 28 * 24
_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Price:
    """One amount without and with value added tax."""

    net: Decimal
    gross: Decimal

    def __add__(self, other: Price) -> Price:
        return Price(self.net + other.net, self.gross + other.gross)

    def __mul__(self, factor: int) -> Price:
        return Price(self.net * factor, self.gross * factor)

    def cheaper(self, other: Price) -> Price:
        """Return the smaller of two prices, each part by itself."""
        return Price(min(self.net, other.net), min(self.gross, other.gross))


FREE = Price(Decimal(0), Decimal(0))


@dataclass(frozen=True)
class Rate:
    """What something costs while it is rented; ``hourly`` is None where it is let by the month only."""

    hourly: Price | None
    monthly: Price

    def cost(self, hours: Decimal) -> Price:
        """Return the rent of ``hours``: started hours, and no more than the month's price for each started month."""
        started = max(1, math.ceil(hours))
        cap = self.monthly * math.ceil(started / MONTH_HOURS)
        return cap if self.hourly is None else (self.hourly * started).cheaper(cap)


@dataclass(frozen=True)
class Terms:
    """Every part of an offer's price."""

    currency: str
    rent: Rate
    setup: Price
    address: Rate | None

    def total(self, hours: Decimal) -> Price:
        """Return what a lease of ``hours`` costs: rent, setup fee, address."""
        address = self.address.cost(hours) if self.address else FREE
        return self.rent.cost(hours) + self.setup + address

    @property
    def hourly(self) -> Price:
        """What the first hour costs without the setup fee: machine and address."""
        return self.rent.cost(Decimal(1)) + (self.address.cost(Decimal(1)) if self.address else FREE)


def parse_amount(value: Any) -> Decimal:
    """Return a price that a provider wrote; raise ValueError unless it is a finite amount of 0 or more."""
    if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
        raise ValueError(f"{value!r} is not an exact amount")
    try:
        amount = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"{value!r} is not an amount") from error
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{value!r} is not an amount of 0 or more")
    return amount


def show_amount(amount: Decimal, currency: str) -> str:
    """Return an amount as people read it, rounded up to cents."""
    return f"{amount.quantize(_CENT, rounding=ROUND_UP)} {currency}"


def terms_as_json(terms: Terms) -> dict[str, Any]:
    """Return terms as JSON, amounts as text."""
    return {
        "currency": terms.currency,
        "rent": _rate_as_json(terms.rent),
        "setup": _price_as_json(terms.setup),
        "address": _rate_as_json(terms.address) if terms.address else None,
    }


def terms_from_json(value: dict[str, Any]) -> Terms:
    """Return the terms of ``terms_as_json``."""
    return Terms(
        currency=value["currency"],
        rent=_rate_from_json(value["rent"]),
        setup=_price_from_json(value["setup"]),
        address=_rate_from_json(value["address"]) if value["address"] else None,
    )


def _price_as_json(price: Price) -> dict[str, str]:
    return {"net": str(price.net), "gross": str(price.gross)}


def _price_from_json(value: dict[str, str]) -> Price:
    return Price(parse_amount(value["net"]), parse_amount(value["gross"]))


def _rate_as_json(rate: Rate) -> dict[str, Any]:
    return {"hourly": _price_as_json(rate.hourly) if rate.hourly else None, "monthly": _price_as_json(rate.monthly)}


def _rate_from_json(value: dict[str, Any]) -> Rate:
    return Rate(_price_from_json(value["hourly"]) if value["hourly"] else None, _price_from_json(value["monthly"]))
