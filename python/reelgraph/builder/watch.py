"""What is rented, what it has cost, and the dead-man switch: a lease past its end is cancelled.

The switch runs where the journal is, never on the machine that it must stop: switching that off would not end its bill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from reelgraph.builder.cancel import cancel_lease
from reelgraph.builder.clock import as_text
from reelgraph.builder.desk import Desk
from reelgraph.builder.lease import Lease, State
from reelgraph.builder.money import show_amount
from reelgraph.builder.provider import CredentialsRefused
from reelgraph.builder.settle import reconcile, unexplained
from reelgraph.errors import StageError


@dataclass(frozen=True)
class Account:
    """What the provider says beside the journal; ``problem`` where it could not be asked."""

    unknown_servers: tuple[int, ...]
    problem: str | None


def ask_account(desk: Desk) -> Account:
    """Match the provider's lists with the journal."""
    try:
        reconcile(desk)
        return Account(tuple(unexplained(desk)), None)
    except CredentialsRefused:
        raise
    except StageError as error:
        return Account((), str(error))


def describe(lease: Lease, now: datetime) -> str:
    """Return a line with a lease's age, cost so far and end."""
    parts = [lease.description, lease.state.value]
    if lease.quote is not None:
        parts.append(lease.quote.gpu_model)
    parts.append(f"{lease.age_hours(now):.1f} h old")
    if (cost := lease.cost(now)) and lease.quote:
        currency = lease.quote.terms.currency
        parts.append(
            f"at most {show_amount(cost.gross, currency)} so far with tax ({show_amount(cost.net, currency)} without)"
        )
    if lease.expires_at is not None:
        left = (lease.expires_at - now).total_seconds() / 3600
        parts.append(f"ends {as_text(lease.expires_at)} ({f'in {left:.1f} h' if left > 0 else 'PAST ITS END'})")
    return ", ".join(parts)


def as_json(lease: Lease, now: datetime) -> dict[str, Any]:
    """Return a lease for scripts."""
    cost = lease.cost(now)
    return {
        "lease": lease.id,
        "state": lease.state.value,
        "server": lease.server,
        "order": lease.transaction,
        "address": lease.address,
        "suspects": list(lease.suspects),
        "gpu": lease.quote.gpu_model if lease.quote else None,
        "age_hours": f"{lease.age_hours(now):.2f}",
        "cost": {"net": str(cost.net), "gross": str(cost.gross)} if cost else None,
        "currency": lease.quote.terms.currency if lease.quote else None,
        "expires_at": as_text(lease.expires_at) if lease.expires_at else None,
        "cancel_wanted": lease.cancel_wanted,
        "outcome": lease.outcome,
    }


@dataclass
class Looked:
    """What one look found: what went wrong, what else a person should know, and whether every provider answered."""

    problems: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    answered: bool = True


def watch_once(desk: Desk, warn_minutes: float, cancel_minutes: float, gone: Callable[[Lease], None]) -> Looked:
    """Look once: warn before a lease's end, cancel after it.

    ``gone`` is told of each lease that was to end, whether it did or not, so that nothing goes on building there.
    """
    account = ask_account(desk)
    looked = Looked([account.problem] if account.problem else [], answered=account.problem is None)
    looked.problems += [
        f"server {number} is on the account and not in the journal" for number in account.unknown_servers
    ]
    for lease in [lease for lease in desk.leases().values() if lease.is_open]:
        now = desk.now()
        line = describe(lease, now)
        desk.say(line)
        if lease.state is State.AMBIGUOUS:
            looked.problems.append(
                f"{lease.description}: nobody knows whether it was ordered; run 'reel builder resolve'"
            )
        if lease.cancel_wanted or (lease.expires_at is not None and now >= lease.expires_at):
            gone(lease)
            try:
                left = cancel_lease(desk, lease, cancel_minutes)
                looked.problems += [f"{lease.description}: {item} is still there and may cost" for item in left]
                looked.news.append(f"ended: {line}")
            except CredentialsRefused:
                raise
            except StageError as error:
                looked.problems.append(str(error))
        elif lease.expires_at is not None and lease.expires_at - now <= timedelta(minutes=warn_minutes):
            looked.news.append(f"ends soon and will be cancelled: {line}; 'reel builder extend' moves its end")
    return looked
