"""`reel builder` as a person runs it: real processes against the fake webservice, killed at every point if need be."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest
from builder_desk import Office, open_office
from builder_robot import PASSWORD, auction
from real_nix import ROOT

from reelgraph.builder import cancel, wait
from reelgraph.builder.clock import Clock
from reelgraph.builder.heartbeat import Heartbeat
from reelgraph.builder.lease import State
from reelgraph.cli.builder import command
from reelgraph.cli.main import main

# Waiting is real here, so the steps between two looks are made short.
START = """
import reelgraph.builder.cancel as cancel, reelgraph.builder.wait as wait
cancel.LOOK_SECONDS = cancel.RETRY_SECONDS = wait.POLL_SECONDS = 0.02
from reelgraph.cli.main import main
main(prog_name="reel")
"""
HURRY = START.split("\nfrom")[0] + "\n"
TOTAL = "14.79 EUR"
CAPS = ("--max-hourly", "2", "--max-setup", "0", "--max-total", "20")
ORDER_REQUESTS = 8


class Person:
    """Somebody at a terminal with credentials for the fake webservice."""

    def __init__(self, office: Office, folder: Path) -> None:
        self.office, self.folder = office, folder
        office.credentials()
        office.account.ready_after = office.account.listed_after = timedelta(0)
        self.environment = {
            **os.environ,
            "NO_PROXY": "127.0.0.1",
            "PYTHONPATH": str(ROOT / "python"),
            "REEL_BUILDER_STATE": str(office.folder / "state"),
            "REEL_BUILDER_CREDENTIALS": str(office.folder / "robot.json"),
            "NIX_USER_CONF_FILES": str(folder / "nix.conf"),
        }
        self.environment.pop("REEL_BUILDER_SPEND", None)
        self.has_nix("2.34.1")
        self._pid, self._starting = 0, threading.Lock()

    def has_nix(self, version: str) -> None:
        """Have this machine's Nix say another version; whatever else it is asked, it does."""
        real = shutil.which("nix")
        (self.folder / "bin").mkdir(exist_ok=True)
        text = f'#!/bin/sh\n[ "$1" != --version ] || exec echo "nix (Nix) {version}"\nexec {real} "$@"\n'
        (self.folder / "bin/nix").write_text(text)
        (self.folder / "bin/nix").chmod(0o755)
        self.environment["PATH"] = f"{self.folder / 'bin'}:{os.environ['PATH']}"

    @property
    def pid(self) -> int:
        """The process that runs or ran last; a request may come in before its process id is known here."""
        with self._starting:
            return self._pid

    def reel_from_a_new_interpreter(self, *arguments: str, typed: str = "") -> str:
        """Run ``reel builder …`` as a shell would, allowed to spend, and return everything that it said."""
        with self._starting:
            process = subprocess.Popen(
                [sys.executable, "-c", START, "builder", *arguments],
                cwd=self.folder,
                env={**self.environment, "REEL_BUILDER_SPEND": "yes"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            self._pid = process.pid
        said, _ = process.communicate(typed + "\n", timeout=600)
        assert process.returncode == 0, said
        return said

    @contextlib.contextmanager
    def killed_at(self, index: int, when: str) -> Iterator[list[str]]:
        """Kill the command at its request number ``index``, before or after its effect; yield what was asked.

        The request has its effect before this ends: the provider goes on with what it was asked, whoever is killed.
        """
        seen: list[str] = []
        effect = threading.Event()

        def kill(method: str, path: str, moment: str) -> None:
            if moment == when:
                seen.append(path)
                if len(seen) == index + 1:
                    self.kill()
            if moment == "after" and len(seen) > index:
                effect.set()

        self.office.account.hook = kill
        yield seen
        assert len(seen) <= index or effect.wait(60)
        self.office.account.hook = lambda method, path, moment: None

    def kill(self) -> None:
        """Kill what runs, as a power cut would, and come back when it is gone."""
        # The next command has another process id, and may begin as soon as this one is gone.
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            while Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                time.sleep(0.001)

    def reel(self, *arguments: str, typed: str = "", spend: bool = False) -> tuple[int, str, str]:
        """Run ``reel builder …`` in a process forked from this one, with a line typed; return status, output, messages.

        A fork has every module loaded already: two hundred new interpreters would take minutes.
        """
        files = [self.folder / name for name in ("typed", "output", "messages")]
        files[0].write_text(typed + "\n")
        with self._starting:
            self._pid = os.fork()
            if self._pid == 0:
                self._run(files, ["builder", *arguments], spend)
        _, status = os.waitpid(self._pid, 0)
        return (os.waitstatus_to_exitcode(status), files[1].read_text(), files[2].read_text())

    def _run(self, files: list[Path], arguments: list[str], spend: bool) -> None:
        status = 70
        try:
            for number, file in enumerate(files):
                os.dup2(os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
            sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
            os.environ.clear()
            os.environ.update({**self.environment, **({"REEL_BUILDER_SPEND": "yes"} if spend else {})})
            os.chdir(self.folder)
            cancel.LOOK_SECONDS = cancel.RETRY_SECONDS = wait.POLL_SECONDS = 0.02
            main(arguments, prog_name="reel")
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def quote(self) -> str:
        """Write a new quote and return its file."""
        status, _, messages = self.reel("find-cheapest-gpu", "--hours", "10", "--output", "quote.json")
        assert status == 0, messages
        self.watched()
        return "quote.json"

    def watched(self, ago: timedelta = timedelta(0)) -> None:
        """Have somebody look after open leases, some time ago."""
        folder = Path(self.environment["REEL_BUILDER_STATE"])
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        Heartbeat(folder).beat(Clock().now() - ago)

    def order(self) -> tuple[int, str, str]:
        """Order for real."""
        return self.reel("order", self.quote(), "--real", *CAPS, typed=TOTAL, spend=True)


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """A person at a new account."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with open_office(tmp_path / "office") as office:
        office.account.time = office.account.time.now(office.account.time.tzinfo)
        yield Person(office, tmp_path)


# Every command


@pytest.mark.parametrize("name", sorted(command.commands))
def test_help_fits_a_screen_and_has_an_example(person: Person, name: str) -> None:
    status, output, _ = person.reel(name, "--help")
    assert status == 0 and "Example: " in output
    assert len(output.splitlines()) <= 26


def documented_commands() -> list[str]:
    """Return every call of reel builder in the docs, in blocks and in sentences."""
    found = set()
    for page in (ROOT / "docs").glob("*.md"):
        text = page.read_text()
        found |= set(re.findall(r"`(reel builder [a-z][^`]*)`", text))
        found |= set(
            re.findall(r"^ *(?:REEL_BUILDER_SPEND=yes )?(reel builder [a-z].*?)(?:  +#.*)?$", text, re.MULTILINE)
        )
    return sorted(found)


@pytest.mark.parametrize("line", documented_commands())
def test_a_command_of_the_docs_is_one_of_reels(line: str) -> None:
    _, _, name, *arguments = shlex.split(line.replace("NUMBER", "7"))
    # A sentence may name a command without what it needs; what it does name must be there.
    with contextlib.suppress(click.MissingParameter):
        command.commands[name].make_context(name, arguments)


def test_the_lease_of_the_docs_runs_as_it_stands(person: Person) -> None:
    block = (ROOT / "docs/builder.md").read_text().split("## A lease\n\n```sh\n")[1].split("```")[0]
    person.watched()
    ran = []
    for line in block.splitlines():
        _, _, name, *arguments = shlex.split(line.removeprefix("REEL_BUILDER_SPEND=yes "))
        if name in ("install", "validate", "build"):
            continue
        typed = TOTAL if "--real" in arguments else ""
        status, output, messages = person.reel(name, *arguments, typed=typed, spend=line.startswith("REEL_"))
        assert status == 0, f"{line}: {messages}"
        ran.append(name)
    assert ran == ["find-cheapest-gpu", "order", "order", "wait", "cancel", "status"]
    assert output == "no open lease\n"
    assert [form.get("test") for form in person.office.account.sent_orders] == [["true"], None]
    assert person.office.account.billed() == {}


# Finding


def test_the_cheapest_lease_comes_first_and_unknown_cards_are_reported(person: Person) -> None:
    person.office.account.auctions.append(auction(9, "NVIDIA RTX 9000 Something", "0.0100", "6.0000"))
    status, output, messages = person.reel("find-cheapest-gpu", "--hours", "10", "--min-memory-gb", "20")
    lines = output.splitlines()
    assert status == 0
    assert "14.79 EUR for 10 h with tax  NVIDIA RTX 6000 Ada Generation x1  auction 3052441" in lines[0]
    assert "GEX45" in lines[1] and "setup 248.71 EUR" in lines[1]
    assert "left out: auction 9: 'NVIDIA RTX 9000 Something' is not in the GPU table" in messages
    assert "left out: auction 3052442: NVIDIA GeForce GTX 1080 has 8 GB, less than 20" in messages


def test_a_quote_may_go_into_a_folder_that_is_not_there_yet(person: Person) -> None:
    status, _, messages = person.reel("find-cheapest-gpu", "--hours", "10", "--output", "new/quotes/quote.json")
    assert status == 0 and (person.folder / "new/quotes/quote.json").is_file(), messages


def test_nothing_strong_enough_is_an_answer_of_its_own(person: Person) -> None:
    status, _, messages = person.reel("find-cheapest-gpu", "--hours", "10", "--min-memory-gb", "200")
    assert status == 1 and "nothing on offer has a known GPU with 200 GB" in messages


@pytest.mark.parametrize("hours", ["0", "-1", "ten", "NaN"])
def test_wrong_hours_are_wrong_usage(person: Person, hours: str) -> None:
    status, _, messages = person.reel("find-cheapest-gpu", "--hours", hours)
    assert status == 2 and messages.startswith("reel: --hours") and len(messages.splitlines()) == 1


def test_missing_credentials_are_said(person: Person) -> None:
    (person.office.folder / "robot.json").unlink()
    status, _, messages = person.reel("find-cheapest-gpu", "--hours", "10")
    assert status == 3 and "robot.json: cannot be read" in messages and "docs/builder.md" in messages


def test_refused_credentials_are_not_sent_a_second_time(person: Person) -> None:
    person.office.credentials("wrong")
    assert person.reel("find-cheapest-gpu", "--hours", "10")[0] == 3
    failed = person.office.account.failed_logins
    status, _, messages = person.reel("find-cheapest-gpu", "--hours", "10")
    assert status == 3 and "refused these credentials before" in messages
    assert person.office.account.failed_logins == failed <= 2


# Ordering


def test_an_order_is_a_test_unless_told_otherwise(person: Person) -> None:
    status, _, messages = person.reel("order", person.quote())
    assert status == 0 and "test order accepted" in messages
    assert [form.get("test") for form in person.office.account.sent_orders] == [["true"]]


@pytest.mark.parametrize(
    ("arguments", "spend", "typed", "said"),
    [
        (CAPS, False, TOTAL, "needs REEL_BUILDER_SPEND=yes"),
        (CAPS[:4], True, TOTAL, "needs --max-total"),
        ((*CAPS[:5], "Infinity"), True, TOTAL, "--max-total"),
        ((*CAPS[:5], "14"), True, TOTAL, "more than the cap of 14.00 EUR"),
        (CAPS, True, "yes", "the typed total is not '14.79 EUR'"),
        (CAPS, True, "", "the typed total is not '14.79 EUR'"),
    ],
)
def test_a_real_order_needs_opt_in_caps_and_the_typed_total(
    person: Person, arguments: tuple[str, ...], spend: bool, typed: str, said: str
) -> None:
    status, _, messages = person.reel("order", person.quote(), "--real", *arguments, typed=typed, spend=spend)
    assert status in (1, 2) and said in messages
    assert person.office.account.sent_orders == []


def test_a_whole_lease_from_quote_to_verified_gone(person: Person) -> None:
    status, _, messages = person.order()
    assert status == 0, messages
    status, output, messages = person.reel("wait", "--minutes", "1")
    assert (status, output.strip()) == (0, "192.0.2.10"), messages
    status, output, _ = person.reel("status")
    assert status == 0 and re.search(r"server 3052441, ready, .*at most 1\.48 EUR so far with tax", output)
    status, output, _ = person.reel("status", "--json")
    (lease,) = json.loads(output)["leases"]
    assert (lease["server"], lease["state"], lease["cost"]["gross"]) == (3052441, "ready", "1.4789")
    status, _, messages = person.reel("extend", "--hours", "20")
    assert status == 1 and "would cost 31.06 EUR with tax by then, more than the quoted total of 14.79 EUR" in messages
    assert person.reel("extend", "--hours", "20", "--max-total", "31")[0] == 1
    status, output, _ = person.reel("extend", "--hours", "20", "--max-total", "32")
    assert status == 0 and "in 20.0 h" in output
    status, _, messages = person.reel("cancel")
    assert status == 0 and "cancelled and verified" in messages
    assert person.office.account.billed() == {}
    status, output, _ = person.reel("status")
    assert (status, output.strip()) == (0, "no open lease")
    assert person.reel("cancel")[:2] == (0, "no open lease\n")
    assert "cancelled and verified" in person.reel("status", "--all")[1]


def test_every_command_tells_of_an_open_lease(person: Person) -> None:
    person.order()
    person.reel("wait", "--minutes", "1")
    for arguments in (["find-cheapest-gpu", "--hours", "1"], ["wait"], ["cancel", "--minutes", "1"]):
        assert re.search(r"open: lease \S+, server 3052441, ready, .*so far.*ends ", person.reel(*arguments)[2])


def test_a_failed_wait_cancels_if_asked_to(person: Person) -> None:
    account = person.office.account
    person.order()
    account.listed_after = timedelta(hours=1)
    status, _, messages = person.reel("wait", "--minutes", "0.01")
    assert status == 1 and "is still billed; end it with 'reel builder cancel" in messages
    assert list(account.billed()) == [3052441]

    def list_it(method: str, path: str, when: str) -> None:
        if path.endswith("/cancellation"):
            account.machines[3052441].listed_at = account.time

    account.hook = list_it
    status, _, messages = person.reel("wait", "--minutes", "0.01", "--cancel-on-failure")
    assert status == 1 and "cancelling" in messages
    assert account.billed() == {}


def test_a_failed_installation_cancels_if_asked_to(person: Person) -> None:
    person.office.account.new_address = "127.63.0.1"
    person.order()
    person.reel("wait", "--minutes", "1")
    status, _, messages = person.reel("install", "--nixos-anywhere", "false")
    assert status == 1 and "127.63.0.1 shows no host key" in messages and "is still billed" in messages
    assert person.office.account.billed() != {}
    status, _, messages = person.reel("install", "--nixos-anywhere", "false", "--cancel-on-failure")
    assert status == 1 and "127.63.0.1 shows no host key" in messages and "cancelling" in messages
    assert person.office.account.billed() == {}


def test_a_step_that_comes_too_early_names_the_step_before_and_says_that_something_is_missing(person: Person) -> None:
    person.order()
    for early, before in (("install", "wait"), ("register", "install")):
        status, _, messages = person.reel(early)
        assert status == 3 and messages.endswith(f"yet; run 'reel builder {before}'\n"), messages
    person.reel("wait", "--minutes", "1")
    status, _, messages = person.reel("register")
    assert status == 3 and messages.endswith("is not installed yet; run 'reel builder install'\n")


def test_a_builder_that_was_never_registered_is_a_wrong_name(person: Person) -> None:
    status, _, messages = person.reel("unregister", "mine")
    assert (status, messages) == (2, "reel: builder 'mine' is not registered; there is none\n")


def test_a_number_that_the_journal_does_not_know_is_typed_twice(person: Person) -> None:
    person.office.account.add_machine(321)
    status, _, messages = person.reel("cancel", "--server", "321", typed="yes")
    assert status == 1 and "server 321 is in no lease" in messages and person.office.account.cancelled == []
    assert person.reel("cancel", "--server", "321", typed="321")[0] == 0
    assert person.office.account.billed() == {}


def test_status_fails_while_the_account_has_a_machine_that_nobody_knows(person: Person) -> None:
    person.office.account.add_machine(321)
    status, _, messages = person.reel("status")
    assert status == 1 and "server 321 is on the account and in no open lease" in messages
    assert person.reel("known-server", "321")[0] == 0
    assert person.reel("status")[0] == 0


@pytest.mark.parametrize("arguments", [("status",), ("watch", "--once"), ("cancel",), ("status", "--offline")])
def test_with_an_empty_journal_nothing_needs_credentials(person: Person, arguments: tuple[str, ...]) -> None:
    (person.office.folder / "robot.json").unlink()
    status, output, messages = person.reel(*arguments)
    assert status == 0 and "no open lease" in output + messages
    assert "NOBODY" not in person.reel("status")[1]


def test_status_shows_the_journal_whatever_the_provider_does(person: Person) -> None:
    person.order()
    credentials = person.office.folder / "robot.json"
    credentials.chmod(0o644)
    status, output, messages = person.reel("status")
    assert status == 3 and "order B20261123-" in output and "chmod 600" in messages
    credentials.unlink()
    status, output, messages = person.reel("status")
    assert status == 3 and "order B20261123-" in output and "robot.json: cannot be read" in messages
    status, output, _ = person.reel("status", "--offline")
    assert status == 0 and "order B20261123-" in output


def test_an_open_lease_without_credentials_is_a_loud_problem_of_the_watch(person: Person) -> None:
    person.order()
    (person.office.folder / "robot.json").unlink()
    status, _, messages = person.reel("watch", "--once", "--tell", "tee told")
    assert status == 1 and "PROBLEM: " in messages and "robot.json: cannot be read" in messages
    assert "robot.json: cannot be read" in (person.folder / "told").read_text()


# Whoever rents is watched


def test_nothing_is_rented_that_nobody_would_end(person: Person) -> None:
    quote = person.quote()
    person.watched(timedelta(minutes=16))
    status, _, messages = person.reel("order", quote, "--real", *CAPS, typed=TOTAL, spend=True)
    assert status == 3 and "NOBODY WATCHES" in messages and "--watched-elsewhere" in messages
    assert person.office.account.sent_orders == []
    assert person.reel("watch", "--once")[0] == 0
    status, _, messages = person.reel("order", quote, "--real", *CAPS, typed=TOTAL, spend=True)
    assert status == 0, messages
    assert "watched 0 min ago" in person.reel("status")[1]
    person.watched(timedelta(minutes=60))
    assert "NOBODY WATCHES" in person.reel("status")[1] and "NOBODY WATCHES" in person.reel("wait")[2]


def test_a_nix_that_no_rented_builder_runs_is_said_before_it_costs(person: Person) -> None:
    person.has_nix("2.8.0")
    status, _, messages = person.order()
    assert status == 3 and "runs Nix 2.8.0, and a rented builder can run 2.30, 2.31, 2.34" in messages
    assert person.office.account.sent_orders == []
    quote = person.quote()
    assert person.reel("order", quote, "--real", *CAPS, "--any-nix-version", typed=TOTAL, spend=True)[0] == 0


def test_somebody_who_watches_elsewhere_says_so(person: Person) -> None:
    quote = person.quote()
    person.watched(timedelta(hours=5))
    arguments = ("order", quote, "--real", *CAPS, "--watched-elsewhere")
    assert person.reel(*arguments, typed=TOTAL, spend=True)[0] == 0


def test_a_look_that_the_provider_did_not_answer_is_no_watch(person: Person) -> None:
    person.office.account.fault = lambda method, path: "error-before"
    assert person.reel("watch", "--once", "--alive", "tee alive")[0] == 1
    assert not (person.folder / "alive").exists()
    assert not (person.office.folder / "state/watched.json").exists()


def test_the_watchdog_script_ends_what_is_past_its_end_without_a_checkout_or_a_long_path(person: Person) -> None:
    person.order()
    person.reel("wait", "--minutes", "1")
    tell = ("--tell", "tee told", "--alive", "tee alive")
    status, output, messages = person.reel("watchdog", "--units", "units", *tell)
    assert status == 0, messages
    assert "systemctl --user enable --now reel-builder-watch.timer" in output and "crontab" in output
    script = person.office.folder / "state/watchdog/reel-builder-watch"
    service = (person.folder / "units/reel-builder-watch.service").read_text()
    assert (
        f'ExecStart="{script}"' in service
        and "OnCalendar=*:0/5" in (person.folder / "units/reel-builder-watch.timer").read_text()
    )
    assert script.stat().st_mode & 0o777 == 0o700 and PASSWORD not in script.read_text()
    person.office.account.advance(11 * 3600)
    # The machine is gone for good after three looks some time apart; a watch that is cut short goes on later.
    text = script.read_text().replace("import sys;", "import sys, reelgraph_hurry;", 1)
    script.write_text(text)
    (person.folder / "reelgraph_hurry.py").write_text(HURRY)
    environment = {"PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1", "PYTHONPATH": f"{person.folder}:{ROOT / 'python'}"}
    finished = subprocess.run([script], env=environment, cwd=person.folder, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    assert person.office.account.billed() == {}
    assert "ended: lease" in finished.stderr
    assert "server 3052441" in (person.folder / "told").read_text()
    assert (person.folder / "alive").read_text() == "watched\n"


def test_the_watchdog_can_be_the_first_command_of_all(person: Person) -> None:
    person.environment["REEL_BUILDER_STATE"] = str(person.folder / "new" / "state")
    assert person.reel("watchdog", "--units", "units")[0] == 0
    finished = subprocess.run([person.folder / "new/state/watchdog/reel-builder-watch"], env={}, check=False)
    assert finished.returncode == 0
    assert (person.folder / "new/state/watched.json").exists()


def test_a_configuration_that_cannot_be_changed_does_not_keep_a_machine_alive(person: Person) -> None:
    person.order()
    person.reel("wait", "--minutes", "1")
    (lease,) = person.office.desk().leases().values()
    registered = {lease.id: {"host": "192.0.2.10", "user": "u", "key": "/k", "host_key": "ssh-ed25519 AAAA", "jobs": 1}}
    (person.office.folder / "state/builders.json").write_text(json.dumps(registered))
    person.environment["PATH"] = "/nowhere"
    status, _, messages = person.reel("cancel")
    assert status == 0 and f"run 'reel builder unregister {lease.id}'" in messages
    assert person.office.account.billed() == {}


def test_what_still_costs_after_a_cancellation_is_a_failure_that_names_it(person: Person) -> None:
    person.order()
    person.reel("wait", "--minutes", "1")
    person.office.account.addresses = [{"ip": "192.0.2.77", "server_number": 3052441}]
    status, _, messages = person.reel("cancel")
    assert status == 1 and "still there and may cost: ip 192.0.2.77" in messages
    assert person.office.account.billed() == {}


def test_the_watchdog_cancels_what_is_past_its_end(person: Person) -> None:
    person.order()
    person.reel("wait", "--minutes", "1")
    assert person.reel("watch", "--once")[0] == 0
    assert person.office.account.billed() != {}
    person.office.account.advance(11 * 3600)
    status, _, messages = person.reel("watch", "--once")
    assert status == 0 and "PAST ITS END" in messages
    assert person.office.account.billed() == {}


def test_a_lost_order_is_resolved_or_closed_by_a_typed_sentence(person: Person) -> None:
    quote = person.quote()
    person.office.account.fault = lambda method, path: (
        "drop-before" if method == "POST" and path.endswith("/transaction") else None
    )
    status, _, messages = person.reel("order", quote, "--real", *CAPS, typed=TOTAL, spend=True)
    assert status == 1 and "nobody knows whether the order" in messages and "run 'reel builder resolve'" in messages
    person.office.account.fault = lambda method, path: None
    status, _, messages = person.reel("order", quote, "--real", *CAPS, typed=TOTAL, spend=True)
    assert status == 3 and "run 'reel builder resolve' before any other order" in messages
    status, _, messages = person.reel("resolve")
    assert status == 1 and "lists no order with its key yet" in messages
    (lease,) = person.office.desk().leases().values()
    assert person.reel("resolve", "--no-machine", typed="yes")[0] == 1
    assert person.reel("resolve", "--no-machine", typed=f"no machine {lease.id}")[0] == 0
    assert not person.office.desk().lease(lease.id).is_open


def test_a_task_that_has_nothing_to_do_with_renting_reminds_of_what_is_open(person: Person) -> None:
    person.order()
    process = subprocess.run(
        [sys.executable, "-c", START, "task", "builder:local:unregister-remote"],
        cwd=ROOT,
        env=person.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0 and re.search(r"open: lease \S+, order \S+, .* so far", process.stderr)


@pytest.mark.parametrize(("target", "ends"), [(".#smoke.bible", True), (".#no-such-target", False)])
def test_cancel_after_ends_the_lease_when_the_results_are_here_and_only_then(
    person: Person, target: str, ends: bool
) -> None:
    person.order()
    person.reel("wait", "--minutes", "1")
    process = subprocess.run(
        [sys.executable, "-c", START, "builder", "build", "--cancel-after", target],
        cwd=ROOT,
        env=person.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (process.returncode == 0) == ends, process.stderr
    assert (person.office.account.billed() == {}) == ends
    assert ("cancelled and verified" if ends else "is still billed; end it with") in process.stderr
    assert ends or "there is no target 'no-such-target'" in process.stderr


# Killed at every point


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("index", range(ORDER_REQUESTS))
def test_an_order_killed_at_any_point_is_never_sent_twice_and_never_lost(person: Person, index: int, when: str) -> None:
    quote = person.quote()
    account = person.office.account
    with person.killed_at(index, when) as seen:
        status, _, _ = person.reel("order", quote, "--real", *CAPS, typed=TOTAL, spend=True)
    assert (status == -signal.SIGKILL) == (len(seen) > index)
    person.reel("status")
    leases = [lease for lease in person.office.desk().leases().values() if lease.is_open]
    assert len(leases) == len(account.orders) <= 1, "what was ordered is open in the journal, and nothing else"
    account.auctions = [auction(77, "Nvidia RTX 6000 Ada Generation", "1.2400", "771.0000")]
    status, _, messages = person.order()
    assert (status == 0) == (not leases), messages
    assert len([form for form in account.sent_orders if "test" not in form]) == 1
    person.reel("wait", "--minutes", "1")
    assert person.reel("cancel")[0] == 0
    assert account.billed() == {} and account.pending() == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("index", [0, 1, 2, 3, 5, 8])
def test_a_cancellation_killed_at_any_point_goes_on_from_there(person: Person, index: int, when: str) -> None:
    person.order()
    person.reel("wait", "--minutes", "1")
    account = person.office.account
    with person.killed_at(index, when):
        person.reel("cancel")
    (lease,) = person.office.desk().leases().values()
    assert lease.state is State.CLOSED or lease.is_open
    status, _, messages = person.reel("cancel", lease.id)
    assert status == 0, messages
    assert account.billed() == {} and not person.office.desk().lease(lease.id).is_open
    assert account.cancelled == [3052441] and account.keys == {}


def test_no_secret_is_in_the_process_list_or_in_messages(person: Person) -> None:
    seen = []

    def look(method: str, path: str, when: str) -> None:
        for name in ("cmdline", "environ"):
            seen.append(Path(f"/proc/{person.pid}/{name}").read_text(errors="replace"))

    quote = person.quote()
    person.office.account.hook = look
    messages = person.reel_from_a_new_interpreter("order", quote, "--real", *CAPS, typed=TOTAL)
    messages += person.reel_from_a_new_interpreter("wait", "--minutes", "1")
    messages += person.reel_from_a_new_interpreter("cancel")
    assert person.office.account.billed() == {} and len(seen) > 40
    assert all(PASSWORD not in text for text in [*seen, messages])
