"""Ending a bill: always allowed, safe to repeat, from the journal or from a bare number, and believed only when seen.

A machine counts as gone when the provider, asked several times over some minutes, no longer has it, or has it cancelled
for a day that is not after today by the provider's own clock. "Not found" alone proves nothing: a machine that was
just ordered is not listed either, so one that was never listed must have had its cancellation accepted first.
"""

from __future__ import annotations

from datetime import timedelta

from reelgraph.builder.clock import Deadline
from reelgraph.builder.desk import Desk
from reelgraph.builder.lease import Lease, State
from reelgraph.builder.provider import Cancellation, Conflict, FateUnknown, NotSent, RateLimited, Unreachable
from reelgraph.builder.settle import ask_order
from reelgraph.errors import StageError

LOOKS = 3
LOOK_SECONDS = 60.0
RETRY_SECONDS = 20.0


def cancel_lease(desk: Desk, lease: Lease, minutes: float) -> list[str]:
    """End a lease and return what still costs; raise a StageError with the machine's number if it did not end."""
    deadline = Deadline(desk.clock, minutes * 60)
    if lease.state is State.CLOSED:
        return []
    _note(desk, lease, "cancel-wanted")
    lease = _with_number(desk, lease, deadline)
    if lease.state is State.CLOSED:
        return []
    assert lease.server is not None
    if lease.state is not State.GONE:
        _end(desk, lease, deadline)
        _note(desk, lease, "gone")
    return _clean_up(desk, lease)


def cancel_server(desk: Desk, number: int, minutes: float, *, confirmed: bool) -> list[str]:
    """End a machine by its number; one that the journal does not know only where a person has confirmed it."""
    try:
        leases = [lease for lease in desk.leases().values() if lease.server == number]
    except StageError as error:
        desk.say(f"going on without the journal: {error}")
        leases = []
    if open_leases := [lease for lease in leases if lease.is_open]:
        return cancel_lease(desk, open_leases[-1], minutes)
    if not leases and not confirmed:
        raise StageError(
            f"server {number} is in no lease of the journal and may be anything; confirm the number to end it"
        )
    lease = leases[-1] if leases else Lease(f"server-{number}", desk.now(), state=State.READY, server=number)
    _end(desk, lease, Deadline(desk.clock, minutes * 60))
    return _still_costs(desk, number)


def _with_number(desk: Desk, lease: Lease, deadline: Deadline) -> Lease:
    """Return the lease once it has a machine, or is closed because there never will be one."""
    while True:
        try:
            lease = ask_order(desk, lease)
        except (Unreachable, RateLimited) as error:
            desk.say(f"{lease.description}: {error}")
        if lease.server is not None or lease.state is State.CLOSED:
            return lease
        if lease.state is State.AMBIGUOUS:
            raise StageError(
                f"{lease.description}: nobody knows whether there is a machine; look at the provider's web page, end "
                "what is there with 'reel builder cancel --server NUMBER', then run 'reel builder resolve "
                "--no-machine'"
            )
        desk.say(f"{lease.description}: has no machine yet that could be cancelled; {deadline.left / 60:.0f} min left")
        if not deadline.wait(RETRY_SECONDS):
            raise StageError(
                f"{lease.description} is NOT cancelled: the provider has not handed over its machine, and an order "
                "itself cannot be cancelled; run 'reel builder cancel' again, or leave 'reel builder watch' running, "
                "which will"
            )


def _end(desk: Desk, lease: Lease, deadline: Deadline) -> None:
    """Cancel and verify, trying again what may pass, until seen or the deadline."""
    number, seen, problem = lease.server, 0, ""
    assert number is not None
    accepted, listed = lease.cancel_sent, lease.listed
    while seen < LOOKS:
        try:
            cancellation = desk.provider.cancellation(number)
            listed = listed or cancellation is not None
            if _is_over(desk, cancellation) and (cancellation is not None or accepted or listed):
                # Cancelled, or a number that was here before and is here no more; also said by the server list.
                server = desk.provider.server(number)
                seen = seen + 1 if server is None or cancellation is not None else 0
                problem = f"the provider still lists server {number}"
                desk.say(f"server {number}: seen as gone {seen} of {LOOKS} times")
            elif cancellation is not None and not cancellation.cancelled:
                seen = 0
                desk.provider.cancel(number, cancellation)
                accepted = True
                _note(desk, lease, "cancel-sent")
                desk.say(f"server {number}: cancellation accepted")
            elif cancellation is not None:
                seen, problem = 0, f"it is cancelled for {cancellation.date} only, and billed until then"
            else:
                seen, problem = 0, "the provider does not list such a machine (a new one may not be listed yet)"
        except Conflict as error:
            seen, problem = 0, str(error)
        except (Unreachable, NotSent, FateUnknown) as error:
            problem = str(error)
            desk.say(f"server {number}: {error}")
        except RateLimited as error:
            problem = str(error)
            desk.say(f"server {number}: {error}")
            deadline.wait(error.seconds)
        if seen < LOOKS and not deadline.wait(LOOK_SECONDS if seen else RETRY_SECONDS):
            raise StageError(
                f"server {number} is NOT verified as cancelled ({problem or 'looked at too few times'}); it may still "
                "be billed: run 'reel builder cancel' again and look at the provider's web page"
            )


def _is_over(desk: Desk, cancellation: Cancellation | None) -> bool:
    if cancellation is None:
        return True
    # The provider's days are not UTC's: its clocks are up to two hours ahead.
    today = (desk.now() + timedelta(hours=2)).date()
    return cancellation.cancelled and cancellation.date is not None and cancellation.date <= today


def _still_costs(desk: Desk, number: int) -> list[str]:
    try:
        return desk.provider.leftovers(number)
    except StageError as error:
        return [f"unknown: the addresses of server {number} could not be listed ({error})"]


def _clean_up(desk: Desk, lease: Lease) -> list[str]:
    """Forget the key, list what still costs, close the journal's lease."""
    assert lease.server is not None
    leftovers = _still_costs(desk, lease.server)
    if lease.fingerprint is not None:
        try:
            desk.provider.delete_key(lease.fingerprint)
        except StageError as error:
            desk.say(f"the SSH key {lease.fingerprint} stays at the provider ({error}); delete it in its web page")
    _note(
        desk,
        lease,
        "closed",
        outcome="cancelled and verified" + "".join(f"; still there: {item}" for item in leftovers),
    )
    return leftovers


def _note(desk: Desk, lease: Lease, event: str, **details: str) -> None:
    """Write to the journal if it can be written: a full disk must not keep a machine alive."""
    if lease.quote is None:
        return
    try:
        desk.journal.append(lease.id, event, **details)
    except StageError as error:
        desk.say(f"going on: {error}")
