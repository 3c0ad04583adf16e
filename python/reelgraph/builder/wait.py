"""Waiting for an ordered machine, with a deadline: it is billed from the moment that it is there."""

from __future__ import annotations

from reelgraph.builder.clock import Deadline
from reelgraph.builder.desk import Desk
from reelgraph.builder.lease import Lease, State
from reelgraph.builder.provider import RateLimited, Unreachable
from reelgraph.builder.settle import ask_order
from reelgraph.errors import StageError

POLL_SECONDS = 20.0


def wait(desk: Desk, lease: Lease, minutes: float) -> Lease:
    """Poll until the machine is ready and listed; return the lease, or raise a StageError that names what is billed."""
    deadline = Deadline(desk.clock, minutes * 60)
    while True:
        lease = _look(desk, lease)
        if lease.state in (State.CLOSED, State.GONE):
            raise StageError(f"{lease.description} is {lease.state.value}: {lease.outcome}")
        if lease.state is State.READY and lease.listed:
            return lease
        desk.say(f"{lease.description}: {lease.state.value}, {deadline.left / 60:.0f} min left")
        if not deadline.wait(POLL_SECONDS):
            raise StageError(
                f"{lease.description} was not ready within {minutes:g} min; it is billed as soon as it is: "
                "wait again, or end it with 'reel builder cancel'"
            )


def _look(desk: Desk, lease: Lease) -> Lease:
    """Ask once; a provider that does not answer, or wants silence, only costs time."""
    try:
        lease = ask_order(desk, lease)
        # An order can be ready before the account lists its machine.
        if lease.state is State.READY and not lease.listed and desk.provider.server(lease.server or 0) is not None:
            desk.journal.append(lease.id, "listed")
    except Unreachable as error:
        desk.say(f"{lease.description}: {error}")
    except RateLimited as error:
        desk.say(f"{lease.description}: {error}")
        desk.clock.sleep(error.seconds)
    return desk.lease(lease.id)
