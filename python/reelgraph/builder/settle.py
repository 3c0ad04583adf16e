"""What became of an order: by the provider's lists and the lease's own key, never by sending it again."""

from __future__ import annotations

from collections.abc import Callable

from reelgraph.builder.desk import Desk
from reelgraph.builder.lease import Lease, State, known_servers
from reelgraph.builder.provider import CredentialsRefused, Transaction
from reelgraph.errors import StageError


def note_transaction(desk: Desk, lease: Lease, transaction: Transaction) -> None:
    """Write down what the provider says of a lease's order."""
    if lease.transaction is None:
        if lease.test and transaction.status == "cancelled":
            close(desk, lease, "test order accepted")
            return
        try:
            desk.journal.append(lease.id, "ordered", transaction=transaction.id)
        except StageError as error:
            raise StageError(
                f"order {transaction.id} was taken, and that could not be written down ({error})"
            ) from error
        if lease.test:
            desk.say(f"the provider took the test of {lease.description} for a real order: {transaction.id}; cancel it")
    if transaction.status == "cancelled":
        close(desk, lease, "the provider cancelled the order")
    elif transaction.status == "ready" and transaction.server is not None and lease.server is None:
        desk.journal.append(
            lease.id,
            "ready",
            server=transaction.server,
            address=transaction.address,
            host_keys=list(transaction.host_keys),
        )


def reconcile(desk: Desk) -> None:
    """Match the orders that the provider lists with the journal, by key: also those that the journal holds for settled.

    So an order that took effect after a person cleared it, or behind a refusal, comes to light.
    """
    listed = desk.provider.transactions()
    for lease in desk.leases().values():
        if lease.fingerprint is None or lease.transaction is not None:
            continue
        matches = [found for found in listed if lease.fingerprint in found.fingerprints]
        if len(matches) > 1:
            numbers = ", ".join(f"{found.id} (server {found.server})" for found in matches)
            raise StageError(
                f"{lease.description}: the provider lists several orders with its key: {numbers}; see its web page"
            )
        if matches and (lease.is_open or matches[0].status != "cancelled"):
            desk.say(f"{lease.description}: the provider has the order, {matches[0].id}")
            note_transaction(desk, lease, matches[0])


def resolve(desk: Desk, lease: Lease) -> Lease:
    """Find out what became of an order whose answer was lost, and return the lease as it is then.

    Only an order with this lease's own key settles it. Machines that nobody knows are written down as suspects.
    """
    reconcile(desk)
    lease = desk.lease(lease.id)
    if lease.state is not State.AMBIGUOUS:
        return lease
    if lease.test:
        close(desk, lease, "test order, answer lost; the provider lists no order with its key")
        return desk.lease(lease.id)
    for number in unexplained(desk):
        if number not in lease.suspects:
            desk.journal.append(lease.id, "suspect", server=number)
    return desk.lease(lease.id)


def ask_order(desk: Desk, lease: Lease) -> Lease:
    """Ask once what became of a lease's order, where that is open, and return the lease as it is then."""
    if lease.state is State.AMBIGUOUS:
        return resolve(desk, lease)
    if lease.state is State.ORDERED:
        assert lease.quote is not None and lease.transaction is not None
        transaction = desk.provider.transaction(lease.quote.channel, lease.transaction)
        if transaction is not None:
            note_transaction(desk, lease, transaction)
            return desk.lease(lease.id)
    return lease


def clear(desk: Desk, lease: Lease, confirm: Callable[[str], str]) -> None:
    """Close a lease on a person's word that there is no machine, unless the provider lists one."""
    lease = resolve(desk, lease)
    if not lease.is_open:
        raise StageError(f"{lease.description} is {lease.state.value} ({lease.outcome}), so there is nothing to clear")
    if lease.state is State.ORDERED:
        raise StageError(f"{lease.description}: the provider has this order; end it with 'reel builder cancel'")
    if lease.server is not None and desk.provider.server(lease.server) is not None:
        raise StageError(f"{lease.description}: the provider lists this machine; end it with 'reel builder cancel'")
    wanted = f"no machine {lease.id}"
    question = (
        f"If neither an order nor a machine of {lease.description} is on the web page of the provider, type '{wanted}'"
    )
    if confirm(question).strip() != wanted:
        raise StageError(f"{lease.description} stays {lease.state.value}")
    desk.journal.append(lease.id, "closed", outcome="cleared by a person: no machine")


def unexplained(desk: Desk) -> list[int]:
    """Return the account's machines that neither an open lease nor a person accounts for.

    A machine of a lease that is closed must be cancelled, or it is as unexplained as any other.
    """
    entries = desk.journal.entries()
    leases = desk.leases().values()
    known = known_servers(entries) | {lease.server for lease in leases if lease.is_open}
    ended = {lease.server for lease in leases if not lease.is_open}
    return sorted(
        server.number
        for server in desk.provider.servers()
        if server.number not in known and not (server.number in ended and server.cancelled)
    )


def close_unsent(desk: Desk) -> None:
    """Close what was written down and certainly not sent."""
    for lease in desk.leases().values():
        if lease.state is State.INTENDED:
            close(desk, lease, "never sent: the process ended before the order")


def close(desk: Desk, lease: Lease, outcome: str) -> None:
    """Close a lease that certainly has no machine; its key goes if the provider lets it."""
    desk.journal.append(lease.id, "closed", outcome=outcome)
    if lease.fingerprint is not None:
        try:
            desk.provider.delete_key(lease.fingerprint)
        except CredentialsRefused:
            return
        except StageError as error:
            desk.say(f"the SSH key {lease.fingerprint} stays at the provider ({error}); delete it in its web page")
