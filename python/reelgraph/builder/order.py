"""Ordering once: intent on disk, key at the provider, one request, and never a second one for the same intent.

What is known after each step, so that a process may end anywhere:

    intent written            nothing was ordered
    "sending" written         the fate is unknown until an answer is written, or until the provider lists an order
                              with this lease's key; only a person may say that there is none
    "ordered" written         the provider has it
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from reelgraph.builder.clock import as_text
from reelgraph.builder.desk import Desk
from reelgraph.builder.journal import ACCOUNT
from reelgraph.builder.keys import make_key
from reelgraph.builder.lease import Lease, State, fold, orders_since
from reelgraph.builder.money import parse_amount, show_amount
from reelgraph.builder.provider import FateUnknown, ProviderError
from reelgraph.builder.quote import Quote, check_fresh, check_unchanged, quote_as_json
from reelgraph.builder.settle import close, close_unsent, note_transaction, reconcile, unexplained
from reelgraph.errors import StageError

# The Robot webservice takes no more in a day; whether tests and refusals count is not documented, so they do.
ORDERS_A_DAY = 20


@dataclass(frozen=True)
class Caps:
    """The most that may be spent, with tax: an hour, as setup fee, in all. There is no way to say "unlimited"."""

    hourly: Decimal
    setup: Decimal
    total: Decimal

    def __post_init__(self) -> None:
        for name in ("hourly", "setup", "total"):
            try:
                parse_amount(getattr(self, name))
            except ValueError as error:
                raise StageError(f"--max-{name}: {error}", status=2) from error


def place_order(
    desk: Desk,
    quote: Quote,
    *,
    caps: Caps | None,
    confirm: Callable[[str], str],
    another: bool = False,
    declared: Iterable[int] = (),
) -> Lease:
    """Order what a quote says, for real where there are caps, as a test otherwise; return the lease.

    ``confirm`` gets the question and returns what the person typed; only the exact total goes through. ``another``
    allows a second open lease, ``declared`` are machines of the account that have nothing to do with this project.
    """
    if quote.provider != desk.provider.name:
        raise StageError(f"the quote is of provider '{quote.provider}', not of '{desk.provider.name}'", status=2)
    with desk.journal.ordering():
        close_unsent(desk)
        reconcile(desk)
        check_fresh(quote, desk.now())
        _check_journal(desk, another)
        for number in declared:
            desk.journal.append(ACCOUNT, "known-server", server=number)
        if caps is not None:
            _check_caps(quote, caps)
            _check_account(desk)
            _confirm_total(quote, confirm)
        offer = desk.provider.offer(quote.channel, quote.offer, quote.location)
        check_fresh(quote, desk.now())
        check_unchanged(quote, offer)
        assert offer is not None
        now = desk.now()
        id = _new_id(desk, now)
        key = make_key(desk.keys(id), "id_ed25519")
        expires = now + timedelta(seconds=float(quote.hours) * 3600)
        desk.journal.append(
            id,
            "intent",
            quote=quote_as_json(quote),
            test=caps is None,
            fingerprint=key.fingerprint,
            expires_at=as_text(expires),
        )
        try:
            desk.provider.upload_key(f"reelgraph-{id}", key.public)
        except StageError:
            close(desk, desk.lease(id), "never sent: the key could not be uploaded")
            raise
        desk.journal.append(id, "sending")
        try:
            transaction = desk.provider.order(offer, key.fingerprint, test=caps is None)
        except ProviderError as error:
            close(desk, desk.lease(id), f"not ordered: {error}")
            raise
        except FateUnknown as error:
            raise StageError(
                f"lease {id}: nobody knows whether the order of {quote.channel} {quote.offer} went through ({error}); "
                "it is not sent again; run 'reel builder resolve'"
            ) from error
        note_transaction(desk, desk.lease(id), transaction)
        return desk.lease(id)


def _new_id(desk: Desk, now: datetime) -> str:
    """Return an id that no lease has: one of the same second must not lose its key to this one."""
    while desk.keys(id := f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}").exists():
        pass
    return id


def _check_journal(desk: Desk, another: bool) -> None:
    entries = desk.journal.entries()
    open_leases = [lease for lease in fold(entries).values() if lease.is_open]
    if ambiguous := [lease for lease in open_leases if lease.state is State.AMBIGUOUS]:
        raise StageError(
            f"{ambiguous[0].description}: its fate is unknown; run 'reel builder resolve' before any other order",
            status=3,
        )
    if open_leases and not another:
        named = "; ".join(lease.description for lease in open_leases)
        raise StageError(f"{named} is open; cancel it first, or say --another-lease to rent a second machine")
    if orders_since(entries, desk.clock.now() - timedelta(hours=24)) >= ORDERS_A_DAY:
        raise StageError(f"{ORDERS_A_DAY} orders were sent within 24 hours, which is all that the provider takes; wait")


def _check_caps(quote: Quote, caps: Caps) -> None:
    terms = quote.terms
    for name, amount, cap in (
        ("an hour costs", terms.hourly.gross, caps.hourly),
        ("the setup fee is", terms.setup.gross, caps.setup),
        ("the lease costs", quote.total.gross, caps.total),
    ):
        if amount > cap:
            shown, allowed = show_amount(amount, terms.currency), show_amount(cap, terms.currency)
            raise StageError(f"{quote.channel} {quote.offer}: {name} {shown} with tax, more than the cap of {allowed}")


def _check_account(desk: Desk) -> None:
    if numbers := unexplained(desk):
        named = ", ".join(map(str, numbers))
        raise StageError(
            f"the account has machines that the journal does not know: server {named}; cancel what should not be "
            "there, or name those that have nothing to do with Reelgraph with --known-server NUMBER"
        )


def _confirm_total(quote: Quote, confirm: Callable[[str], str]) -> None:
    total = show_amount(quote.total.gross, quote.terms.currency)
    question = (
        f"{quote.name} ({quote.gpu_model}) for {quote.hours} h costs {total} with tax. Type the total to order it"
    )
    if confirm(question).strip() != total:
        raise StageError(f"the typed total is not '{total}'; nothing was ordered")
