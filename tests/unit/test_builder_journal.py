"""The journal loses nothing that was acknowledged and believes nothing that it cannot read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.builder.clock import Clock
from reelgraph.builder.journal import ACCOUNT, Journal
from reelgraph.builder.lease import known_servers
from reelgraph.cli.main import main
from reelgraph.errors import StageError


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    """An empty journal."""
    return Journal(tmp_path / "state", Clock())


def numbers(journal: Journal) -> list[int]:
    """Return the noted servers in order."""
    return [entry.details["server"] for entry in journal.entries()]


def test_entries_come_back_in_order(journal: Journal) -> None:
    for number in range(5):
        journal.append(ACCOUNT, "known-server", server=number)
    assert numbers(journal) == list(range(5))
    assert known_servers(journal.entries()) == set(range(5))


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.entries() == []


@given(cut=st.integers(1, 200))
def test_a_torn_last_line_is_dropped_and_nothing_else(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    journal = Journal(tmp_path_factory.mktemp("journal") / "state", Clock())
    journal.append(ACCOUNT, "known-server", server=1)
    journal.append(ACCOUNT, "known-server", server=2)
    file = journal.folder / "journal.jsonl"
    first, second, _ = file.read_bytes().split(b"\n")
    kept = second[: max(0, len(second) - cut)]
    file.write_bytes(first + b"\n" + kept)
    assert numbers(journal) == [1]
    journal.append(ACCOUNT, "known-server", server=3)
    assert numbers(journal) == [1, 3]


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b'{"at": "2026-11-23T12:00:00Z", "lease": "x", "event": "perhaps", "details": {}}',
        b'{"at": "today", "lease": "x", "event": "sending", "details": {}}',
        b'{"at": "2026-11-23T12:00:00Z", "lease": "x", "event": "ready", "details": {}}',
        b"\xff\xfe",
    ],
)
def test_a_line_that_cannot_be_read_stops_everything_and_says_where(journal: Journal, line: bytes) -> None:
    journal.append(ACCOUNT, "known-server", server=1)
    file = journal.folder / "journal.jsonl"
    file.write_bytes(line + b"\n" + file.read_bytes())
    with pytest.raises(StageError, match=r"line 1 cannot be read .* 'reel builder cancel --server NUMBER'"):
        journal.entries()


def test_what_the_schema_does_not_know_is_not_written(journal: Journal) -> None:
    with pytest.raises(StageError):
        journal.append("lease", "perhaps")
    assert journal.entries() == []


def test_only_its_owner_can_read_it(journal: Journal, tmp_path: Path) -> None:
    journal.append(ACCOUNT, "known-server", server=1)
    assert journal.folder.stat().st_mode & 0o077 == 0
    assert (journal.folder / "journal.jsonl").stat().st_mode & 0o077 == 0
    (tmp_path / "open").mkdir(mode=0o755)
    with pytest.raises(StageError, match="chmod 700"):
        Journal(tmp_path / "open", Clock())


def test_the_right_to_order_is_held_by_one(journal: Journal) -> None:
    other = Journal(journal.folder, Clock())
    with (
        journal.ordering(),
        pytest.raises(StageError, match="another 'reel builder order' is running"),
        other.ordering(),
    ):
        pass
    with other.ordering():
        pass


def test_a_journal_is_lines_of_json(journal: Journal) -> None:
    journal.append(ACCOUNT, "known-server", server=1)
    (line,) = (journal.folder / "journal.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)) == ["at", "details", "event", "lease"]


@pytest.mark.parametrize(
    ("command", "status"),
    [("wait", 3), ("install", 3), ("register", 3), ("extend --hours 1", 3), ("cancel", 0), ("status --offline", 0)],
)
def test_a_command_that_needs_an_open_lease_and_finds_none_says_that_something_is_missing(
    command: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REEL_BUILDER_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("REEL_BUILDER_CREDENTIALS", str(tmp_path / "absent.json"))
    finished = CliRunner().invoke(main, ["builder", *command.split(" ")])
    said = "reel: the journal has no open lease\n" if status else "no open lease\n"
    assert (finished.exit_code, finished.output) == (status, said)
