"""The ten rules of spending, each with the fault that would break it, over real HTTP against the fake webservice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from builder_desk import CAPS, Impatient, Office, agree, open_office
from builder_robot import PASSWORD, Account, addon, auction, standard

from reelgraph.builder import journal as journal_module
from reelgraph.builder import order as order_module
from reelgraph.builder.cancel import cancel_lease, cancel_server
from reelgraph.builder.credentials import read_credentials
from reelgraph.builder.lease import State
from reelgraph.builder.order import ORDERS_A_DAY, Caps, place_order
from reelgraph.builder.provider import CredentialsRefused, ProviderError, RateLimited, Unreachable
from reelgraph.builder.providers.robot import connect
from reelgraph.builder.quote import Wanted, rank, read_quote, write_quote
from reelgraph.builder.settle import clear, resolve
from reelgraph.builder.wait import wait
from reelgraph.builder.watch import ask_account, watch_once
from reelgraph.errors import StageError


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """An office at a new account."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with open_office(tmp_path / "office") as opened:
        yield opened


def real_orders(account: Account) -> list[dict[str, list[str]]]:
    """Return the orders that came in without ``test``."""
    return [form for form in account.sent_orders if "test" not in form]


def fault_of(office: Office, method: str, end: str, fault: str) -> None:
    """Give every request of a method whose path ends so a fault."""
    office.account.fault = lambda found, path: fault if found == method and path.endswith(end) else None


# 1. Finding only reads; an order takes a fresh, unchanged quote


def test_finding_changes_nothing_and_ranks_by_the_whole_lease(office: Office) -> None:
    desk = office.desk()
    ranking = rank("robot", desk.provider.offers(), Wanted(Decimal(10), 20, (8, 0)), desk.clock.now())
    assert {method for method, _ in office.account.requests} == {"GET"}
    assert [quote.offer for quote in ranking.quotes] == ["3052441", "GEX45"]
    assert ranking.quotes[0].total.net == Decimal("12.4270")
    assert ranking.quotes[1].total.net == Decimal("212.4290")
    long = rank("robot", desk.provider.offers(), Wanted(Decimal(600), 20, (8, 0)), desk.clock.now())
    assert [quote.offer for quote in long.quotes] == ["GEX45", "3052441"]


def test_an_old_quote_is_refused(office: Office) -> None:
    quote = office.quote()
    office.account.advance(16 * 60)
    with pytest.raises(StageError, match="only one of the last 15 minutes"):
        place_order(office.desk(), quote, caps=None, confirm=agree)
    assert office.account.sent_orders == []


@pytest.mark.parametrize("hours", [-2, 2])
def test_the_providers_clock_decides_how_old_a_quote_is(office: Office, hours: int) -> None:
    quote = office.quote()
    office.clock.jump = timedelta(hours=hours)
    place_order(office.desk(), quote, caps=None, confirm=agree)
    office.account.advance(16 * 60)
    office.clock.jump = timedelta(minutes=-16)
    with pytest.raises(StageError, match="find-cheapest-gpu again"):
        place_order(office.desk(), quote, caps=None, confirm=agree)
    assert len(office.account.sent_orders) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"price_hourly": "1.2500"}, "changed its price"),
        ({"price_setup_vat": "0.0100"}, "changed its price"),
        ({"orderable_addons": [addon("1.80")]}, "changed its price"),
        ({"description": ["AMD EPYC 7502P", "GeForce GTX 1080"]}, "no longer says"),
        ({"id": 1}, "no longer offered"),
    ],
)
def test_an_offer_that_changed_since_the_quote_is_refused(office: Office, change: dict[str, object], said: str) -> None:
    quote = office.quote()
    office.account.auctions[0] |= change
    with pytest.raises(StageError, match=said):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    assert office.account.sent_orders == []


def test_another_currency_is_another_price(office: Office) -> None:
    quote = office.quote()
    office.account.currency = "USD"
    with pytest.raises(StageError, match="changed its price"):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)


def test_a_quote_file_whose_total_was_edited_is_worked_out_again(office: Office, tmp_path: Path) -> None:
    write_quote(tmp_path / "quote.json", office.quote())
    value = json.loads((tmp_path / "quote.json").read_text())
    value["total"] = {"net": "0.01", "gross": "0.01"}
    (tmp_path / "quote.json").write_text(json.dumps(value))
    assert read_quote(tmp_path / "quote.json").total.gross == Decimal("14.7890")


# 2. A test order unless two things say otherwise, and three caps that always bind


def test_an_order_is_a_test_by_default_and_leaves_nothing(office: Office) -> None:
    lease = place_order(office.desk(), office.quote(), caps=None, confirm=agree)
    assert (lease.state, lease.outcome) == (State.CLOSED, "test order accepted")
    assert office.account.sent_orders[0]["test"] == ["true"]
    assert office.account.billed() == {} and office.account.keys == {} and office.account.orders == []


@pytest.mark.parametrize("typed", ["", "yes", "14.79", "14.79 USD", "12.43 EUR", "y\n"])
def test_only_the_exact_total_confirms(office: Office, typed: str) -> None:
    with pytest.raises(StageError, match="nothing was ordered"):
        place_order(office.desk(), office.quote(), caps=CAPS, confirm=lambda question: typed)
    assert office.account.sent_orders == []


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        (Caps(Decimal("1.47"), Decimal(0), Decimal(100)), "an hour costs 1.48 EUR"),
        (Caps(Decimal(3), Decimal(0), Decimal("14.78")), "the lease costs 14.79 EUR"),
    ],
)
def test_caps_bind_with_tax_and_address(office: Office, caps: Caps, said: str) -> None:
    with pytest.raises(StageError, match=said):
        place_order(office.desk(), office.quote(), caps=caps, confirm=agree)
    assert office.account.sent_orders == []


def test_a_setup_fee_over_its_cap_is_refused(office: Office) -> None:
    office.account.auctions = []
    with pytest.raises(StageError, match=r"the setup fee is 248\.71 EUR"):
        place_order(office.desk(), office.quote(), caps=Caps(Decimal(3), Decimal(200), Decimal(500)), confirm=agree)


@pytest.mark.parametrize("amount", ["Infinity", "NaN", "-1"])
def test_no_cap_means_unlimited(amount: str) -> None:
    with pytest.raises(StageError, match="--max-total"):
        Caps(Decimal(1), Decimal(1), Decimal(amount))


def test_a_test_that_the_provider_takes_for_real_is_said_and_stays_open(office: Office) -> None:
    answer = office.account.answer

    def takes_it_for_real(method: str, path: str, form: dict[str, list[str]], **more: bool) -> tuple[int, object]:
        return answer(method, path, {key: value for key, value in form.items() if key != "test"}, **more)

    office.account.answer = takes_it_for_real  # type: ignore[method-assign]
    lease = place_order(office.desk(), office.quote(), caps=None, confirm=agree)
    assert lease.is_open and any("for a real order" in line for line in office.said)


# 3. On disk before it is sent; one open lease; no machine that nobody can explain


def test_nothing_is_sent_if_the_journal_cannot_be_written(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    quote = office.quote()

    def full(descriptor: int, line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module, "_write_synced", full)
    with pytest.raises(StageError, match="cannot be written"):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    assert office.account.sent_orders == [] and office.account.keys == {}


def test_intent_and_sending_are_synced_before_the_order_leaves(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    write = journal_module._write_synced

    def watched(descriptor: int, line: bytes) -> None:
        write(descriptor, line)
        synced.append(json.loads(line)["event"])

    def at_order(method: str, path: str, when: str) -> None:
        if (method, when) == ("POST", "before") and path.endswith("/transaction"):
            assert synced == ["intent", "sending"]

    quote = office.quote()
    monkeypatch.setattr(journal_module, "_write_synced", watched)
    office.account.hook = at_order
    place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    assert synced == ["intent", "sending", "ordered"]


def test_a_second_lease_needs_to_be_asked_for(office: Office) -> None:
    office.rent()
    office.account.auctions = Account().auctions
    with pytest.raises(StageError, match="is open; cancel it first"):
        office.rent()
    assert len(real_orders(office.account)) == 1
    office.account.auctions[0]["id"] = 99
    office.rent(another=True)
    assert len(real_orders(office.account)) == 2


def test_two_leases_of_one_second_are_two(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter(["00ff", "00ff", "00ff", "ff00"])
    monkeypatch.setattr(order_module.secrets, "token_hex", lambda size: next(drawn))
    first, second = (place_order(office.desk(), office.quote(), caps=None, confirm=agree) for _ in range(2))
    assert (first.id[-5:], second.id[-5:]) == ("-00ff", "-ff00")
    assert first.fingerprint != second.fingerprint and len(office.desk().leases()) == 2


def test_two_orders_at_once_are_one(office: Office) -> None:
    quote, first, second = office.quote(), office.desk(), office.desk()

    def order_again(question: str) -> str:
        with pytest.raises(StageError, match="another 'reel builder order' is running"):
            place_order(second, quote, caps=CAPS, confirm=agree)
        return agree(question)

    place_order(first, quote, caps=CAPS, confirm=order_again)
    assert len(real_orders(office.account)) == 1


def test_a_machine_that_nobody_knows_stops_an_order_until_it_is_named(office: Office) -> None:
    office.account.add_machine(321)
    with pytest.raises(StageError, match="server 321"):
        office.rent()
    assert office.account.sent_orders == []
    office.rent(declared=[321])
    assert len(real_orders(office.account)) == 1


# 4. A lost answer is ambiguous and never sent again


@pytest.mark.parametrize(
    "fault",
    [
        "drop-before",
        "drop-after",
        "stall-before",
        "stall-after",
        "error-before",
        "error-after",
        "garbage-after",
        "page-before",
    ],
)
def test_a_lost_answer_is_ambiguous_and_the_order_is_never_sent_again(office: Office, fault: str) -> None:
    quote = office.quote()
    fault_of(office, "POST", "/transaction", fault)
    transport = Impatient()
    transport.silent = office.account.silent if fault.startswith("stall") else None
    office.transport = lambda: transport
    with pytest.raises(StageError, match="it is not sent again"):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    (lease,) = office.desk().leases().values()
    assert lease.state is State.AMBIGUOUS
    office.account.fault = lambda method, path: None
    transport.silent = None
    sent = len(real_orders(office.account))
    for _ in range(3):
        office.account.auctions = Account().auctions
        with pytest.raises(StageError):
            office.rent()
    assert len(real_orders(office.account)) == sent
    found = resolve(office.desk(), lease)
    assert found.state is (State.ORDERED if fault.endswith("after") else State.AMBIGUOUS)


def test_an_order_that_takes_effect_minutes_later_is_found_by_its_key(office: Office) -> None:
    quote = office.quote()
    fault_of(office, "POST", "/transaction", "late")
    with pytest.raises(StageError, match="nobody knows"):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    office.account.fault = lambda method, path: None
    (lease,) = office.desk().leases().values()
    assert resolve(office.desk(), lease).state is State.AMBIGUOUS
    office.account.advance(10 * 60)
    assert resolve(office.desk(), lease).state is State.ORDERED


def test_an_order_that_a_person_cleared_too_early_comes_to_light(office: Office) -> None:
    quote = office.quote()
    fault_of(office, "POST", "/transaction", "late")
    with pytest.raises(StageError):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    office.account.fault = lambda method, path: None
    (lease,) = office.desk().leases().values()
    clear(office.desk(), lease, agree)
    office.account.advance(20 * 60)
    assert ask_account(office.desk()).problem is None
    assert office.desk().lease(lease.id).state is State.READY


def test_the_watch_names_an_order_whose_fate_is_unknown(office: Office) -> None:
    quote = office.quote()
    fault_of(office, "POST", "/transaction", "drop-before")
    with pytest.raises(StageError):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    office.account.fault = lambda method, path: None
    (lease,) = office.desk().leases()
    (problem,) = watch_once(office.desk(), 30, 30, lambda lease: None).problems
    assert lease in problem and "reel builder resolve" in problem


def test_only_a_typed_sentence_clears_an_ambiguous_lease(office: Office) -> None:
    quote = office.quote()
    fault_of(office, "POST", "/transaction", "drop-before")
    with pytest.raises(StageError):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    (lease,) = office.desk().leases().values()
    with pytest.raises(StageError, match="stays ambiguous"):
        clear(office.desk(), lease, lambda question: "yes")
    assert office.desk().lease(lease.id).is_open


def test_machines_that_may_be_the_lost_order_are_named(office: Office) -> None:
    quote = office.quote()
    fault_of(office, "POST", "/transaction", "drop-before")
    with pytest.raises(StageError):
        place_order(office.desk(), quote, caps=CAPS, confirm=agree)
    office.account.fault = lambda method, path: None
    office.account.add_machine(3052441)
    (lease,) = office.desk().leases().values()
    found = resolve(office.desk(), lease)
    assert found.suspects == (3052441,) and "perhaps server 3052441" in found.description
    with pytest.raises(StageError, match="3052441"):
        cancel_lease(office.desk(), found, 10)
    assert office.account.cancelled == [], "a suspect is cancelled only when a person names it"


def test_what_never_left_this_machine_is_not_ambiguous(office: Office) -> None:
    desk = office.desk()
    quote = office.quote()
    real = desk.provider.order

    def unreachable(*arguments: object, **more: object) -> object:
        desk.provider._web._client.base_url = httpx.URL("http://127.0.0.1:9")  # type: ignore[attr-defined]
        return real(*arguments, **more)  # type: ignore[arg-type]

    desk.provider.order = unreachable  # type: ignore[method-assign]
    with pytest.raises(ProviderError, match="nothing was sent"):
        place_order(desk, quote, caps=CAPS, confirm=agree)
    (lease,) = office.desk().leases().values()
    assert lease.state is State.CLOSED


# 5. Limits of the interface


def test_a_rate_limit_means_silence_for_its_interval(office: Office) -> None:
    desk = office.desk()
    fault_of(office, "GET", "/server", "rate-limit")
    with pytest.raises(RateLimited, match="600 s"):
        desk.provider.servers()
    office.account.fault = lambda method, path: None
    asked = len(office.account.requests)
    with pytest.raises(RateLimited, match="silence"):
        desk.provider.servers()
    assert len(office.account.requests) == asked
    office.account.advance(600)
    assert desk.provider.servers() == []


def test_waiting_sits_a_rate_limit_out(office: Office) -> None:
    lease = office.rent()
    limited = iter(["rate-limit"])
    office.account.fault = lambda method, path: next(limited, None)
    assert wait(office.desk(), lease, 60).state is State.READY


def test_refused_credentials_are_never_tried_again(office: Office) -> None:
    robot = connect(office.credentials("wrong"), office.clock)
    for _ in range(4):
        with pytest.raises(CredentialsRefused):
            robot.servers()
    assert office.account.failed_logins == 1


def test_ordering_that_is_not_switched_on_is_not_taken_for_a_wrong_password(office: Office) -> None:
    office.account.ordering = False
    with pytest.raises(ProviderError, match="ordering is not switched on") as error:
        office.desk().provider.offers()
    assert not isinstance(error.value, CredentialsRefused)


def test_the_days_orders_are_counted_here(office: Office) -> None:
    for _ in range(ORDERS_A_DAY):
        place_order(office.desk(), office.quote(), caps=None, confirm=agree)
    with pytest.raises(StageError, match="20 orders were sent within 24 hours"):
        place_order(office.desk(), office.quote(), caps=None, confirm=agree)
    assert len(office.account.sent_orders) == ORDERS_A_DAY
    office.account.advance(25 * 3600)
    place_order(office.desk(), office.quote(), caps=None, confirm=agree)


def test_questions_are_tried_again_and_then_given_up(office: Office) -> None:
    desk = office.desk()
    faults = iter(["drop-before", "page-before", "garbage-after"])
    office.account.fault = lambda method, path: next(faults, None)
    assert desk.provider.servers() == []
    fault_of(office, "GET", "/server", "error-before")
    with pytest.raises(Unreachable, match="status 500"):
        desk.provider.servers()


# 6. Cancelling is always allowed, safe to repeat, and touches nothing unnamed


def rented(office: Office) -> int:
    """Rent a machine, wait for it, and return its number."""
    lease = wait(office.desk(), office.rent(), 60)
    assert lease.server is not None
    return lease.server


def test_cancel_works_from_the_journal_and_again(office: Office) -> None:
    number = rented(office)
    (lease,) = office.desk().leases().values()
    assert cancel_lease(office.desk(), lease, 30) == []
    assert office.account.billed() == {}
    assert cancel_lease(office.desk(), office.desk().lease(lease.id), 30) == []
    assert cancel_server(office.desk(), number, 30, confirmed=False) == []
    assert office.account.cancelled == [number]


@pytest.mark.parametrize("reservable", [True, False])
def test_cancel_says_a_word_on_the_location_only_where_it_is_wanted(office: Office, reservable: bool) -> None:
    office.account.reservable = reservable
    number = rented(office)
    cancel_server(office.desk(), number, 30, confirmed=False)
    assert number not in office.account.billed()


@pytest.mark.parametrize(
    "fault", ["drop-after", "error-after", "garbage-after", "drop-before", "page-before", "rate-limit"]
)
def test_a_lost_answer_to_a_cancellation_is_read_back(office: Office, fault: str) -> None:
    number = rented(office)
    faults = iter([fault])
    office.account.fault = lambda method, path: next(faults, None) if method == "POST" else None
    assert cancel_server(office.desk(), number, 60, confirmed=False) == []
    assert office.account.billed() == {} and office.account.cancelled == [number]


def test_already_cancelled_is_success(office: Office) -> None:
    office.account.vanishes = False
    number = rented(office)
    office.account.answer("POST", f"/server/{number}/cancellation", {"cancellation_date": ["now"]})
    assert cancel_server(office.desk(), number, 30, confirmed=False) == []


def test_a_transfer_in_progress_is_a_loud_failure_with_the_number(office: Office) -> None:
    number = rented(office)
    office.account.transfer = True
    with pytest.raises(StageError, match=rf"server {number} is NOT verified as cancelled .*CONFLICT"):
        cancel_server(office.desk(), number, 30, confirmed=False)
    assert office.desk().leases().popitem()[1].is_open


def test_a_machine_that_the_journal_does_not_know_is_not_cancelled_unless_named(office: Office) -> None:
    office.account.add_machine(321)
    with pytest.raises(StageError, match="server 321 is in no lease"):
        cancel_server(office.desk(), 321, 30, confirmed=False)
    assert office.account.cancelled == []
    cancel_server(office.desk(), 321, 30, confirmed=True)
    assert office.account.billed() == {}


def test_cancel_by_number_works_without_a_readable_journal(office: Office) -> None:
    number = rented(office)
    file = office.folder / "state/journal.jsonl"
    file.write_bytes(b"garbage\n" + file.read_bytes())
    with pytest.raises(StageError, match="line 1 cannot be read"):
        office.rent()
    cancel_server(office.desk(), number, 30, confirmed=True)
    assert office.account.billed() == {}


def test_a_full_disk_does_not_keep_a_machine_alive(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    rented(office)
    (lease,) = office.desk().leases().values()

    def full(descriptor: int, line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module, "_write_synced", full)
    cancel_lease(office.desk(), lease, 30)
    assert office.account.billed() == {}


def test_an_order_that_is_not_ready_is_cancelled_as_soon_as_it_is(office: Office) -> None:
    lease = office.rent()
    with pytest.raises(StageError, match=f"{lease.transaction} is NOT cancelled"):
        cancel_lease(office.desk(), lease, 2)
    office.account.advance(10 * 60)
    assert watch_once(office.desk(), 30, 30, lambda lease: None).problems == []
    assert office.account.billed() == {} and not office.desk().lease(lease.id).is_open


# 7. Done is what was seen, several times


def test_a_machine_that_is_not_listed_yet_is_not_taken_for_gone(office: Office) -> None:
    office.account.listed_after = timedelta(minutes=40)
    lease = office.rent()
    with pytest.raises(StageError):
        wait(office.desk(), lease, 20)
    lease = office.desk().lease(lease.id)
    assert lease.state is State.READY and not lease.listed
    with pytest.raises(StageError, match=rf"server {lease.server} is NOT verified"):
        cancel_lease(office.desk(), lease, 10)
    assert lease.server in office.account.billed()
    assert cancel_lease(office.desk(), office.desk().lease(lease.id), 60) == []
    assert office.account.billed() == {}


def test_gone_is_seen_three_times_over_minutes(office: Office) -> None:
    number = rented(office)
    started = office.account.time
    cancel_server(office.desk(), number, 30, confirmed=False)
    looks = [path for method, path in office.account.requests if (method, path) == ("GET", f"/server/{number}")]
    assert len(looks) >= 3 and office.account.time - started >= timedelta(minutes=2)


def test_a_cancellation_for_a_later_day_is_not_done(office: Office) -> None:
    number = rented(office)
    office.account.dated_cancellation = timedelta(days=3)
    with pytest.raises(StageError, match="cancelled for 2026-11-26 only"):
        cancel_server(office.desk(), number, 30, confirmed=False)
    assert number in office.account.billed()


def test_this_machines_clock_does_not_decide_what_day_it_is(office: Office) -> None:
    number = rented(office)
    office.account.dated_cancellation = timedelta(days=3)
    office.clock.jump = timedelta(days=30)
    with pytest.raises(StageError, match=f"server {number} is NOT verified"):
        cancel_server(office.desk(), number, 30, confirmed=False)


def test_what_still_costs_is_listed_and_the_key_is_forgotten_at_the_end(office: Office) -> None:
    number = rented(office)
    office.account.addresses = [{"ip": "192.0.2.77", "server_number": number}, {"ip": "192.0.2.5", "server_number": 7}]
    assert len(office.account.keys) == 1
    (lease,) = office.desk().leases().values()
    assert cancel_lease(office.desk(), lease, 30) == ["ip 192.0.2.77"]
    assert office.account.keys == {}
    assert "ip 192.0.2.77" in office.desk().lease(lease.id).outcome


def test_the_key_stays_while_it_is_not_verified(office: Office) -> None:
    number = rented(office)
    office.account.transfer = True
    with pytest.raises(StageError):
        cancel_server(office.desk(), number, 10, confirmed=False)
    assert len(office.account.keys) == 1


# 8. The dead-man switch


def test_a_lease_past_its_end_is_cancelled_by_whoever_has_the_journal(office: Office) -> None:
    rented(office)
    told: list[str] = []
    assert watch_once(office.desk(), 30, 30, lambda lease: told.append(lease.id)).problems == []
    assert told == [] and len(office.account.billed()) == 1
    office.account.advance(9.6 * 3600)
    looked = watch_once(office.desk(), 60, 30, lambda lease: told.append(lease.id))
    assert told == [] and any("ends soon" in line for line in looked.news)
    office.account.advance(3600)
    assert watch_once(office.desk(), 30, 30, lambda lease: told.append(lease.id)).problems == []
    assert len(told) == 1 and office.account.billed() == {}


@pytest.mark.parametrize("hours", [-48, 48])
def test_the_switch_goes_by_the_providers_clock(office: Office, hours: int) -> None:
    rented(office)
    office.clock.jump = timedelta(hours=hours)
    watch_once(office.desk(), 30, 30, lambda lease: None)
    assert len(office.account.billed()) == 1
    office.account.advance(11 * 3600)
    watch_once(office.desk(), 30, 30, lambda lease: None)
    assert office.account.billed() == {}


def test_one_lease_that_cannot_be_cancelled_does_not_keep_another_alive(office: Office) -> None:
    first = rented(office)
    office.account.auctions = [auction(77, "Nvidia RTX 6000 Ada Generation", "1.0000", "600.0000")]
    wait(office.desk(), office.rent(another=True), 60)
    office.account.advance(12 * 3600)
    answer = office.account.answer

    def stubborn(method: str, path: str, form: dict[str, list[str]], **more: bool) -> tuple[int, object]:
        if method == "POST" and path == f"/server/{first}/cancellation":
            return 409, {"error": {"status": 409, "code": "CONFLICT", "message": "active transfer"}}
        return answer(method, path, form, **more)

    office.account.answer = stubborn  # type: ignore[method-assign]
    problems = watch_once(office.desk(), 30, 30, lambda lease: None).problems
    assert any(f"server {first} is NOT verified" in problem for problem in problems)
    assert set(office.account.billed()) == {first}


# 9 and 10: what is billed although something failed


def test_a_wait_that_ends_without_a_machine_says_what_is_billed(office: Office) -> None:
    office.account.ready_after = timedelta(hours=5)
    lease = office.rent()
    with pytest.raises(
        StageError, match=rf"{lease.transaction} was not ready within 30 min; it is billed as soon as it is"
    ):
        wait(office.desk(), lease, 30)


def test_an_order_that_the_provider_cancels_is_closed(office: Office) -> None:
    lease = office.rent()
    office.account.orders[0].status = "cancelled"
    with pytest.raises(StageError, match="the provider cancelled the order"):
        wait(office.desk(), lease, 30)
    assert not office.desk().lease(lease.id).is_open and office.account.keys == {}


def test_the_setup_fee_counts_from_the_first_minute(office: Office) -> None:
    office.account.auctions = []
    office.rent()
    (lease,) = office.desk().leases().values()
    cost = lease.cost(office.account.time + timedelta(minutes=1))
    assert cost is not None and cost.net == Decimal("209.0000") + Decimal("0.3402") + Decimal("0.0027")


@pytest.mark.parametrize("hours", [-30, 30])
def test_age_and_cost_go_by_the_providers_clock(office: Office, hours: int) -> None:
    office.clock.jump = timedelta(hours=hours)
    rented(office)
    (lease,) = office.desk().leases().values()
    office.account.advance(2 * 3600)
    assert lease.age_hours(office.account.time).quantize(Decimal("0.1")) == Decimal("2.1")


# No secret anywhere but in its file


def test_no_secret_is_in_the_journal_or_in_messages(office: Office) -> None:
    number = rented(office)
    (lease,) = office.desk().leases().values()
    office.desk().provider.rescue(number, lease.fingerprint or "")
    cancel_lease(office.desk(), lease, 30)
    private = (office.folder / "state/keys" / lease.id / "id_ed25519").read_text()
    secrets = [PASSWORD, *(line for line in private.splitlines() if len(line) > 30 and "-----" not in line)]
    written = "\n".join(
        path.read_text(errors="replace")
        for path in office.folder.rglob("*")
        if path.is_file() and path.name not in ("robot.json", "id_ed25519")
    )
    for secret in secrets:
        assert secret not in written and secret not in "\n".join(office.said)
    assert PASSWORD not in repr(office.credentials())
    assert (office.folder / "state/keys" / lease.id / "id_ed25519").stat().st_mode & 0o077 == 0
    assert (office.folder / "state/journal.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o602, 0o660])
def test_credentials_that_others_can_read_or_change_are_refused(office: Office, mode: int) -> None:
    office.credentials()
    file = office.folder / "robot.json"
    file.chmod(mode)
    with pytest.raises(StageError, match="chmod 600"):
        read_credentials(file)


def test_a_password_is_never_sent_where_others_can_hear_it(tmp_path: Path) -> None:
    file = tmp_path / "robot.json"
    file.write_text(json.dumps({"url": "http://robot.example", "user": "u", "password": "p"}))
    file.chmod(0o600)
    with pytest.raises(StageError, match="https://"):
        read_credentials(file)


# A second provider needs no change of the steps


def test_another_provider_goes_through_the_same_steps(office: Office) -> None:
    office.account.products = [
        standard("GEX63", "NVIDIA RTX PRO™ 6000 Blackwell Max-Q", "1.5982", "997.3000", "999.0000")
    ]
    desk = office.desk()

    class Renamed:
        """A provider that is another's under its own name."""

        name = "other"

        def __getattr__(self, attribute: str) -> object:
            return getattr(desk.provider, attribute)

    other = replace(desk, provider=Renamed())  # type: ignore[arg-type]
    ranking = rank("other", other.provider.offers(), Wanted(Decimal(10), 20, (8, 0)), other.now())
    lease = wait(other, place_order(other, ranking.quotes[0], caps=CAPS, confirm=agree), 60)
    assert cancel_lease(other, lease, 30) == []
    assert lease.quote is not None and lease.quote.provider == "other"
