"""reel builder: rent a CUDA machine, build on it, and end its bill."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import click

from reelgraph.errors import StageError

# Heavy modules are imported by the commands that need them, so that --help stays quick.

provider_option = click.option("--provider", default="robot", show_default=True, help="Who lets the machine.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
lease_argument = click.argument("lease", required=False)


@click.group(name="builder")
def command() -> None:
    """Rent a CUDA machine, build on it, and end its bill.

    \b
    find-cheapest-gpu -> order -> wait -> install -> register -> validate -> build -> cancel
    Example: reel builder find-cheapest-gpu --hours 10 --output quote.json

    Costs, safety and what nobody has verified yet: docs/builder.md.
    """


def amount(text: str, option: str) -> Decimal:
    """Return an option's amount, or end with one sentence."""
    from reelgraph.builder.money import parse_amount

    try:
        return parse_amount(text)
    except (ValueError, InvalidOperation) as error:
        raise StageError(f"{option}: {error}", status=2) from error


def print_json(value: Any) -> None:
    """Print JSON for scripts."""
    print(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False))


def show_open_leases() -> None:
    """Tell on stderr what is open, as every command does: age, cost so far, end."""
    from reelgraph.builder.clock import Clock
    from reelgraph.builder.lease import fold
    from reelgraph.builder.office import open_journal, say
    from reelgraph.builder.watch import describe

    for lease in fold(open_journal().entries()).values():
        if lease.is_open:
            say(f"open: {describe(lease, Clock().now())}")


def unregister_lease(lease: str) -> None:
    """Take a lease's builder out of this user's Nix configuration, if it is there."""
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import open_journal, say, state_folder

    registry = Registry(state_folder())
    if lease in registry.builders():
        registry.remove(lease)
        open_journal().append(lease, "unregistered")
        say(f"builder '{lease}' is unregistered")


@contextmanager
def cancelling_on_failure(provider: str, lease: str | None, wanted: bool) -> Iterator[None]:
    """End the lease if the block fails and that is wanted; otherwise say that it is still billed."""
    from reelgraph.builder.cancel import cancel_lease
    from reelgraph.builder.desk import choose
    from reelgraph.builder.office import open_desk, say

    try:
        yield
    except StageError as error:
        with open_desk(provider) as desk:
            found = choose(desk.leases(), lease)
            if not found.is_open:
                raise
            if not wanted:
                say(f"{found.description} is still billed; end it with 'reel builder cancel {found.id}'")
                raise
            say(f"{error}; cancelling")
            unregister_lease(found.id)
            cancel_lease(desk, found, 30)
        raise


@command.command("find-cheapest-gpu")
@click.option("--hours", required=True, help="Planned length of the lease; the ranking is by what that costs in all.")
@click.option("--min-memory-gb", type=click.IntRange(1), default=24, show_default=True, help="Memory of one card.")
@click.option("--min-capability", default="8.0", show_default=True, help="CUDA compute capability.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the cheapest as a quote file.")
@provider_option
@json_option
def find(
    hours: str, min_memory_gb: int, min_capability: str, output: Path | None, provider: str, as_json: bool
) -> None:
    """Rank what can be rented now by the cost of the whole lease; spends nothing.

    Example: reel builder find-cheapest-gpu --hours 10 --min-memory-gb 40 --output quote.json
    """
    from reelgraph.builder.gpus import parse_capability
    from reelgraph.builder.money import show_amount
    from reelgraph.builder.office import open_desk
    from reelgraph.builder.quote import Wanted, quote_as_json, rank, write_quote

    planned = amount(hours, "--hours")
    try:
        wanted = Wanted(planned, min_memory_gb, parse_capability(min_capability))
    except ValueError as error:
        raise StageError(f"--min-capability: {error}", status=2) from error
    if planned <= 0:
        raise StageError("--hours: a lease is longer than 0 hours", status=2)
    show_open_leases()
    with open_desk(provider) as desk:
        offers = desk.provider.offers()
        ranking = rank(provider, offers, wanted, desk.now())
    if as_json:
        print_json({"quotes": [quote_as_json(quote) for quote in ranking.quotes], "left_out": ranking.left_out})
    else:
        for quote in ranking.quotes[:10]:
            terms, currency = quote.terms, quote.terms.currency
            print(
                f"{show_amount(quote.total.gross, currency):>14} for {quote.hours} h with tax  {quote.gpu_model} "
                f"x{quote.gpu_count}  "
                f"{quote.channel} {quote.offer} {quote.location or ''}  "
                f"({show_amount(terms.hourly.gross, currency)}/h, "
                f"setup {show_amount(terms.setup.gross, currency)})"
            )
        for line in ranking.left_out:
            print(f"left out: {line}", file=sys.stderr)
    if not ranking.quotes:
        raise StageError(
            f"nothing on offer has a known GPU with {min_memory_gb} GB and compute capability {min_capability}"
        )
    if output is not None:
        write_quote(output, ranking.quotes[0])


@command.command("order")
@click.argument("quote", type=click.Path(path_type=Path))
@click.option(
    "--real", is_flag=True, help="Spend money. Needs REEL_BUILDER_SPEND=yes, the three caps, and the typed total."
)
@click.option("--max-hourly", metavar="AMOUNT", help="Cap on an hour, with tax.")
@click.option(
    "--max-setup", metavar="AMOUNT", help="Cap on the setup fee, with tax; it is lost once the order is taken."
)
@click.option("--max-total", metavar="AMOUNT", help="Cap on the planned lease, with tax.")
@click.option("--another-lease", is_flag=True, help="Rent a machine although one is open.")
@click.option(
    "--known-server", type=int, multiple=True, help="A machine on the account that has nothing to do with Reelgraph."
)
@json_option
def order(
    quote: Path,
    real: bool,
    max_hourly: str | None,
    max_setup: str | None,
    max_total: str | None,
    another_lease: bool,
    known_server: tuple[int, ...],
    as_json: bool,
) -> None:
    """Order what a quote of the last minutes says: as a test, or with --real.

    \b
    Example: reel builder order quote.json
             REEL_BUILDER_SPEND=yes reel builder order quote.json --real \\
               --max-hourly 2 --max-setup 0 --max-total 20
    """
    import os

    from reelgraph.builder.office import open_desk, say
    from reelgraph.builder.order import Caps, place_order
    from reelgraph.builder.quote import read_quote
    from reelgraph.builder.watch import as_json as lease_as_json
    from reelgraph.builder.watch import describe

    caps = None
    if real:
        if os.environ.get("REEL_BUILDER_SPEND") != "yes":
            raise StageError("a real order needs REEL_BUILDER_SPEND=yes in the environment", status=2)
        values = {"--max-hourly": max_hourly, "--max-setup": max_setup, "--max-total": max_total}
        if missing := [name for name, value in values.items() if value is None]:
            raise StageError(f"a real order needs {', '.join(missing)}", status=2)
        caps = Caps(*(amount(value or "", name) for name, value in values.items()))
    found = read_quote(quote)
    show_open_leases()
    with open_desk(found.provider) as desk:
        lease = place_order(desk, found, caps=caps, confirm=ask, another=another_lease, declared=known_server)
        if as_json:
            print_json(lease_as_json(lease, desk.now()))
        else:
            say(f"{describe(lease, desk.now())}{': ' + lease.outcome if lease.outcome else ''}")


def ask(question: str) -> str:
    """Show a question and return the line that the person typed."""
    print(f"{question}: ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


@command.command("wait")
@lease_argument
@click.option("--minutes", type=float, default=60, show_default=True, help="Deadline.")
@click.option("--cancel-on-failure", is_flag=True, help="End the lease if the machine is not ready in time.")
@provider_option
def wait_command(lease: str | None, minutes: float, cancel_on_failure: bool, provider: str) -> None:
    """Wait until the ordered machine is ready; it is billed from then on.

    Example: reel builder wait --minutes 30 --cancel-on-failure
    """
    from reelgraph.builder.desk import choose
    from reelgraph.builder.office import open_desk, say
    from reelgraph.builder.wait import wait
    from reelgraph.builder.watch import describe

    show_open_leases()
    with cancelling_on_failure(provider, lease, cancel_on_failure), open_desk(provider) as desk:
        ready = wait(desk, choose(desk.leases(), lease), minutes)
        say(describe(ready, desk.now()))
        print(ready.address or "")


@command.command("install")
@lease_argument
@click.option("--minutes", type=float, default=45, show_default=True, help="Deadline of the whole installation.")
@click.option(
    "--rescue", is_flag=True, help="Start the rescue system anew first and ask the provider for its host keys."
)
@click.option("--nixos-anywhere", help="Command to run instead of the pinned nixos-anywhere.")
@click.option("--cancel-on-failure", is_flag=True, help="End the lease if the installation fails.")
@provider_option
def install_command(
    lease: str | None, minutes: float, rescue: bool, nixos_anywhere: str | None, cancel_on_failure: bool, provider: str
) -> None:
    """Make the ready machine a NixOS CUDA builder, and register it.

    Example: reel builder install --cancel-on-failure
    """
    from reelgraph.builder.desk import choose
    from reelgraph.builder.install import NIXOS_ANYWHERE, install
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import open_desk, say, state_folder

    show_open_leases()
    with cancelling_on_failure(provider, lease, cancel_on_failure), open_desk(provider) as desk:
        found = choose(desk.leases(), lease)
        builder = install(
            desk, found, minutes=minutes, command=shlex.split(nixos_anywhere or NIXOS_ANYWHERE), rescue=rescue
        )
        Registry(state_folder()).add(builder)
        desk.journal.append(found.id, "registered")
        say(f"builder '{builder.name}' is registered; run 'reel builder validate'")


@command.command("register")
@lease_argument
@click.option("--host", help="Address of a machine that was not rented through Reelgraph; it must listen on port 22.")
@click.option("--user", default="reel-builder", show_default=True, help="Login of its build user.")
@click.option("--key", type=click.Path(path_type=Path), help="Private key of that user, without passphrase.")
@click.option("--host-key", type=click.Path(path_type=Path), help="File with the machine's public host key.")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Builds at a time: one a GPU.")
@click.option("--any-nix-version", is_flag=True, help="Register although its Nix is of another release.")
def register(
    lease: str | None,
    host: str | None,
    user: str,
    key: Path | None,
    host_key: Path | None,
    jobs: int,
    any_nix_version: bool,
) -> None:
    """Let this user's Nix build GPU stages on a machine, its host key pinned.

    \b
    Example: reel builder register                        (the open lease's machine)
             reel builder register mine --host 192.0.2.7 --key ~/.ssh/mine --host-key mine.pub
    """
    from reelgraph.builder.desk import choose
    from reelgraph.builder.install import BUILD_USER
    from reelgraph.builder.keys import fingerprints
    from reelgraph.builder.lease import fold
    from reelgraph.builder.machines import Builder, Registry, check_builder
    from reelgraph.builder.office import open_journal, say, state_folder

    show_open_leases()
    if host is None:
        journal = open_journal()
        found = choose(fold(journal.entries()), lease)
        folder = journal.folder / "keys" / found.id
        if not found.installed or found.address is None:
            raise StageError(f"{found.description} is not installed yet; run 'reel builder install'")
        public = (folder / "ssh_host_ed25519_key.pub").read_text(encoding="utf-8")
        builder = Builder(found.id, found.address, BUILD_USER, str(folder / "id_ed25519"), public.strip(), jobs)
    else:
        if key is None or host_key is None:
            raise StageError("--host needs --key and --host-key", status=2)
        try:
            public = host_key.read_text(encoding="utf-8")
        except OSError as error:
            raise StageError(f"{host_key}: cannot be read ({error.strerror})", status=3) from error
        builder = Builder(lease or host, host, user, str(key.absolute()), public.strip(), jobs)
    fingerprints(builder.host_key)
    builder = Builder(**{**vars(builder), "host_key": " ".join(builder.host_key.split()[:2])})
    daemon = check_builder(builder, any_version=any_nix_version)
    Registry(state_folder()).add(builder)
    if host is None:
        journal.append(builder.name, "registered")
    say(f"builder '{builder.name}' is registered: Nix {daemon.version} at {builder.uri}")
    print(builder.line)


@command.command("unregister")
@click.argument("name", required=False)
def unregister(name: str | None) -> None:
    """Take a builder out of this user's Nix configuration; without a name, all of them.

    Example: reel builder unregister mine
    """
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import state_folder

    registry = Registry(state_folder())
    names = [name] if name else sorted(registry.builders())
    for each in names:
        if not registry.remove(each):
            raise StageError(f"builder '{each}' is not registered")
        print(each)


def choose_builder(name: str | None) -> Any:
    """Return a registered builder, the only one if none is named."""
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import state_folder
    from reelgraph.builder.offload import HELP

    builders = Registry(state_folder()).builders()
    if name is not None and name not in builders:
        raise StageError(
            f"builder '{name}' is not registered; there is {', '.join(sorted(builders)) or 'none'}", status=2
        )
    if not builders:
        raise StageError(f"no CUDA builder is registered: {HELP}", status=3)
    if name is None and len(builders) > 1:
        raise StageError(f"several builders are registered ({', '.join(sorted(builders))}); name one", status=2)
    return builders[name] if name else next(iter(builders.values()))


@command.command("validate")
@click.argument("name", required=False)
@click.option("--any-nix-version", is_flag=True, help="Go on although its Nix is of another release.")
@click.option("--cancel-on-failure", is_flag=True, help="End the lease of this name if the builder is not usable.")
@provider_option
@json_option
def validate(name: str | None, any_nix_version: bool, cancel_on_failure: bool, provider: str, as_json: bool) -> None:
    """Build two derivations that no store has seen: one must find the GPU there, one must stay here.

    Example: reel builder validate --json
    """
    from reelgraph.builder.lease import fold
    from reelgraph.builder.office import open_journal
    from reelgraph.builder.validate import validate_builder

    show_open_leases()
    builder = choose_builder(name)

    def check() -> None:
        found = validate_builder(builder, any_version=any_nix_version)
        journal = open_journal()
        if builder.name in fold(journal.entries()):
            journal.append(builder.name, "validated", **found)
        if as_json:
            print_json(found)
        else:
            for gpu in found["gpus"]:
                print(
                    f"{gpu['name']}, compute capability {gpu['compute_capability']}, {gpu['memory_bytes'] / 1e9:.0f} "
                    f"GB, {gpu['uuid']}"
                )
            print(f"Nix {found['nix']}, {found['kernel_module'] or 'kernel module not shown'}")

    if cancel_on_failure:
        with cancelling_on_failure(provider, builder.name, True):
            check()
    else:
        check()


@command.command("build", context_settings={"ignore_unknown_options": True})
@click.argument("installables", nargs=-1, required=True)
@click.option("--there", is_flag=True, help="Run everything from the first GPU stage on with the builder as the store.")
@click.option("--fetch", multiple=True, help="With --there: what comes back; the installables themselves if not given.")
@click.option("--builder", "name", help="With --there: which builder.")
def build_command(installables: tuple[str, ...], there: bool, fetch: tuple[str, ...], name: str | None) -> None:
    """Build like `./nixw build`, and say in one sentence what a builder did wrong.

    Example: reel builder build --there .#wan22-smoke-cuda
    """
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import state_folder
    from reelgraph.builder.offload import build, build_there

    show_open_leases()
    if there:
        finished = build_there(installables, choose_builder(name), fetch or installables)
    else:
        finished = build(installables, list(Registry(state_folder()).builders().values()), [])
    for entry in json.loads(finished.output):
        for path in entry.get("outputs", {}).values():
            print(path)


@command.command("explain")
@click.argument("installables", nargs=-1, required=True)
def explain_command(installables: tuple[str, ...]) -> None:
    """Say why GPU stages of a build that failed were not built; silent if a builder is not the reason.

    Example: reel builder explain .#wan22-smoke-cuda
    """
    from reelgraph.builder.machines import Registry
    from reelgraph.builder.office import state_folder
    from reelgraph.builder.offload import explain

    if reason := explain(installables, Registry(state_folder()).builders().values()):
        raise StageError(reason)


@command.command("status")
@click.option("--all", "everything", is_flag=True, help="Closed leases too.")
@click.option("--offline", is_flag=True, help="Only the journal; do not ask the provider.")
@provider_option
@json_option
def status(everything: bool, offline: bool, provider: str, as_json: bool) -> None:
    """Print every open lease with age, cost so far and end, and machines that the journal does not know.

    Example: reel builder status --json
    """
    from reelgraph.builder.clock import Clock
    from reelgraph.builder.lease import fold
    from reelgraph.builder.office import open_desk, open_journal
    from reelgraph.builder.watch import Account, ask_account, describe
    from reelgraph.builder.watch import as_json as lease_as_json

    account, now = Account((), "not asked"), Clock().now()
    if not offline:
        with open_desk(provider) as desk:
            account, now = ask_account(desk), desk.now()
    leases = [lease for lease in fold(open_journal().entries()).values() if everything or lease.is_open]
    if as_json:
        print_json(
            {
                "leases": [lease_as_json(lease, now) for lease in leases],
                "unknown_servers": list(account.unknown_servers),
                "provider_problem": account.problem,
            }
        )
    else:
        for lease in leases:
            print(describe(lease, now) + (f": {lease.outcome}" if lease.outcome else ""))
        if not leases:
            print("no open lease")
    for number in account.unknown_servers:
        print(f"server {number} is on the account and in no open lease", file=sys.stderr)
    if account.problem and not offline:
        raise StageError(f"the provider could not be asked: {account.problem}")
    if account.unknown_servers:
        raise StageError(
            "name machines that have nothing to do with Reelgraph with 'reel builder known-server', cancel the others"
        )


@command.command("known-server")
@click.argument("number", type=int)
def known_server(number: int) -> None:
    """Note that a machine of the account has nothing to do with Reelgraph.

    Example: reel builder known-server 321
    """
    from reelgraph.builder.journal import ACCOUNT
    from reelgraph.builder.office import open_journal

    open_journal().append(ACCOUNT, "known-server", server=number)


@command.command("extend")
@lease_argument
@click.option("--hours", required=True, help="From now.")
def extend(lease: str | None, hours: str) -> None:
    """Move a lease's end, at which the watchdog cancels it.

    Example: reel builder extend --hours 6
    """
    from reelgraph.builder.clock import Clock, as_text
    from reelgraph.builder.desk import choose
    from reelgraph.builder.lease import fold
    from reelgraph.builder.office import open_journal
    from reelgraph.builder.watch import describe

    journal, now = open_journal(), Clock().now()
    found = choose(fold(journal.entries()), lease)
    end = now + timedelta(seconds=float(amount(hours, "--hours")) * 3600)
    journal.append(found.id, "extended", expires_at=as_text(end))
    print(describe(fold(journal.entries())[found.id], now))


@command.command("watch")
@click.option("--once", is_flag=True, help="Look once: for a timer or cron.")
@click.option("--every", type=float, default=300, show_default=True, help="Seconds between two looks.")
@click.option("--warn-minutes", type=float, default=30, show_default=True, help="Warn so long before a lease's end.")
@provider_option
def watch(once: bool, every: float, warn_minutes: float, provider: str) -> None:
    """Cancel leases past their end; run it anywhere but on the rented machine.

    Example: reel builder watch --once
    """
    from reelgraph.builder.office import open_desk, say
    from reelgraph.builder.watch import watch_once

    while True:
        with open_desk(provider) as desk:
            problems = watch_once(desk, warn_minutes, 10, lambda lease: unregister_lease(lease.id))
        for problem in problems:
            say(f"PROBLEM: {problem}")
        if once:
            if problems:
                raise StageError(f"{len(problems)} problems; see above")
            return
        time.sleep(every)


@command.command("resolve")
@lease_argument
@click.option(
    "--no-machine", is_flag=True, help="You looked at the provider's web page: there is neither order nor machine."
)
@provider_option
def resolve_command(lease: str | None, no_machine: bool, provider: str) -> None:
    """Find out what became of an order whose answer was lost; nothing is ever sent again.

    Example: reel builder resolve
    """
    from reelgraph.builder.desk import choose
    from reelgraph.builder.lease import State
    from reelgraph.builder.office import open_desk
    from reelgraph.builder.order import clear, resolve
    from reelgraph.builder.watch import describe

    with open_desk(provider) as desk:
        found = choose(desk.leases(), lease)
        if no_machine:
            clear(desk, found, ask)
        found = resolve(desk, desk.lease(found.id))
        print(describe(found, desk.now()) + (f": {found.outcome}" if found.outcome else ""))
        if found.state is State.AMBIGUOUS:
            raise StageError(
                f"{found.description}: the provider lists no order with its key yet; ask again in some minutes, look "
                "at its web "
                "page, and close it with 'reel builder resolve --no-machine' when there is nothing"
            )


@command.command("cancel")
@lease_argument
@click.option("--server", type=int, help="A machine by its number, also one that the journal does not know.")
@click.option("--minutes", type=float, default=30, show_default=True, help="Deadline.")
@provider_option
def cancel(lease: str | None, server: int | None, minutes: float, provider: str) -> None:
    """End a machine's bill, verify it, and list what still costs. Safe to repeat.

    \b
    Example: reel builder cancel                     (the open lease)
             reel builder cancel --server 321        (asks for the number again if it is not in the journal)
    """
    from reelgraph.builder.cancel import cancel_lease, cancel_server
    from reelgraph.builder.desk import choose
    from reelgraph.builder.office import open_desk, say

    with open_desk(provider) as desk:
        if server is not None:
            leftovers = cancel_named(
                lambda confirmed: cancel_server(desk, server, minutes, confirmed=confirmed), desk, server
            )
        else:
            show_open_leases()
            found = choose(desk.leases(), lease)
            unregister_lease(found.id)
            leftovers = cancel_lease(desk, found, minutes)
        for item in leftovers:
            say(f"still there and may cost: {item}")
        say("cancelled and verified" if not leftovers else "cancelled and verified, but see above")
        if leftovers:
            raise StageError("cancel what is left in the provider's web page")


def cancel_named(cancel_it: Callable[[bool], list[str]], desk: Any, server: int) -> list[str]:
    """Cancel by number; one that the journal does not know needs its number typed again."""
    from reelgraph.builder.desk import Desk

    assert isinstance(desk, Desk)
    try:
        owners = [lease for lease in desk.leases().values() if lease.server == server]
    except StageError:
        owners = []
    if owners:
        unregister_lease(owners[-1].id)
        return cancel_it(False)
    typed = ask(f"server {server} is in no lease of the journal; type its number again to end it").strip()
    return cancel_it(typed == str(server))
