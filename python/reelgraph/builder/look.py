"""One look of the dead-man switch at everything that is open, whatever goes wrong with a part of it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reelgraph.builder.clock import Clock
from reelgraph.builder.ending import unregister_lease
from reelgraph.builder.heartbeat import Heartbeat
from reelgraph.builder.office import open_desk, providers_to_ask, say, state_folder
from reelgraph.builder.watch import Looked, ask_account, watch_once
from reelgraph.errors import StageError

CANCEL_MINUTES = 10.0
_TELL_SECONDS = 60


@dataclass
class Accounts:
    """What every provider that can be asked says beside the journal; ``now`` is the last one's time."""

    unknown_servers: list[int] = field(default_factory=list)
    problem: str | None = None
    status: int = 0
    now: datetime | None = None


def ask_all() -> Accounts | None:
    """Match the lists of every provider with the journal; None if there is nothing to ask with and nothing open."""
    providers = providers_to_ask()
    found = Accounts()
    for provider in providers:
        try:
            with open_desk(provider) as desk:
                account = ask_account(desk)
                found.now = desk.now()
            found.unknown_servers += account.unknown_servers
            problem, status = account.problem, 1
        except StageError as error:
            problem, status = str(error), error.status
        if problem:
            found.problem, found.status = problem, status
    return found if providers else None


def look(warn_minutes: float) -> Looked:
    """Warn before a lease's end and cancel after it, at every provider."""
    looked = Looked()
    try:
        providers = providers_to_ask()
    except StageError as error:
        return Looked([str(error)], answered=False)
    if not providers:
        say("no open lease, and no credentials to ask a provider with")
        return looked
    for provider in providers:
        try:
            with open_desk(provider) as desk:
                found = watch_once(desk, warn_minutes, CANCEL_MINUTES, lambda lease: unregister_lease(lease.id))
            looked.problems += found.problems
            looked.news += found.news
            looked.answered &= found.answered
        # A fault of ours at one machine must not keep another one alive, nor end the watch.
        except Exception as error:
            looked.problems.append(str(error) if isinstance(error, StageError) else f"{provider}: {error!r}")
            looked.answered = False
    if looked.answered:
        Heartbeat(state_folder()).beat(Clock().now())
    return looked


def tell(command: str, lines: Sequence[str]) -> None:
    """Run a person's own command, such as a mailer, with lines on its standard input."""
    try:
        subprocess.run(
            shlex.split(command), input="\n".join(lines) + "\n", text=True, timeout=_TELL_SECONDS, check=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        say(f"PROBLEM: nobody was told: {error}")
