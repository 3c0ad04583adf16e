"""Money is exact, and a lease costs what the provider bills: started hours, capped by the month, setup, address."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.builder.money import FREE, Price, Rate, Terms, parse_amount, show_amount, terms_as_json, terms_from_json

amounts = st.decimals(min_value=0, max_value=10_000, places=4)
prices = st.builds(lambda net, tax: Price(net, net + tax), amounts, amounts)
rates = st.builds(Rate, st.one_of(st.none(), prices), prices)
terms = st.builds(Terms, st.just("EUR"), rates, prices, st.one_of(st.none(), rates))
hours = st.decimals(min_value="0.1", max_value=5000, places=1)


def price(amount: str) -> Price:
    """Return a price without tax."""
    return Price(Decimal(amount), Decimal(amount))


def test_started_hours_count() -> None:
    rate = Rate(price("1.24"), price("771"))
    assert rate.cost(Decimal("0.1")) == rate.cost(Decimal(1)) == price("1.24")
    assert rate.cost(Decimal("9.5")) == price("12.40")


def test_a_month_costs_no_more_than_its_price() -> None:
    rate = Rate(price("1.24"), price("771"))
    assert rate.cost(Decimal(650)) == price("771")
    assert rate.cost(Decimal(700)) == price("868.00")
    assert rate.cost(Decimal(2000)) == price("2313")


def test_what_is_let_by_the_month_costs_a_month_from_the_first_hour() -> None:
    assert Rate(None, price("771")).cost(Decimal(1)) == price("771")


def test_the_worked_examples_of_the_docs() -> None:
    address = Rate(price("0.0027"), price("1.70"))
    auction = Terms("EUR", Rate(price("1.2400"), price("771")), FREE, address)
    gex45 = Terms("EUR", Rate(price("0.3402"), price("212.30")), price("209"), address)
    assert show_amount(auction.total(Decimal(10)).net, "EUR") == "12.43 EUR"
    assert show_amount(gex45.total(Decimal(10)).net, "EUR") == "212.43 EUR"
    assert show_amount(auction.total(Decimal(200)).net, "EUR") == "248.54 EUR"
    assert show_amount(gex45.total(Decimal(200)).net, "EUR") == "277.58 EUR"
    assert auction.total(Decimal(250)).net > gex45.total(Decimal(250)).net


@given(terms, hours, hours)
def test_a_longer_lease_never_costs_less(lease: Terms, first: Decimal, second: Decimal) -> None:
    short, long = sorted((first, second))
    assert lease.total(short).net <= lease.total(long).net
    assert lease.total(short).gross <= lease.total(long).gross


@given(terms, hours)
def test_the_setup_fee_is_in_every_total(lease: Terms, length: Decimal) -> None:
    assert lease.total(length).gross >= lease.setup.gross


@given(terms)
def test_terms_survive_a_file_exactly(lease: Terms) -> None:
    assert terms_from_json(terms_as_json(lease)) == lease


@pytest.mark.parametrize("value", ["-1", "NaN", "Infinity", "", "1,5", None, True, 1.5, [], "0x10"])
def test_what_is_no_exact_amount_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_amount(value)


@pytest.mark.parametrize(("amount", "shown"), [("12.4270", "12.43 EUR"), ("12.42", "12.42 EUR"), ("0", "0.00 EUR")])
def test_amounts_are_shown_rounded_up_to_cents(amount: str, shown: str) -> None:
    assert show_amount(Decimal(amount), "EUR") == shown
