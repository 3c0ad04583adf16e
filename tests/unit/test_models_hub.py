"""Locking and ingesting against a hub on loopback, with the real client: what fails says so, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from local_hub import TOKEN, Fault, LocalHub, Repository, pseudo_random

from reelgraph.errors import StageError
from reelgraph.models import store
from reelgraph.models.catalogue import LockedFile, Model, read_models, write_lock
from reelgraph.models.hub import Hub, find_token
from reelgraph.models.ingest import Outcome, add_local, cache_folder, ingest, verify

ROOT = Path(__file__).parents[2]
REVISION = "0123456789abcdef0123456789abcdef01234567"
SHARD = "model-00001-of-00002.safetensors"
OTHER = "model-00002-of-00002.safetensors"
ENTRY = {
    "title": "A small model",
    "kind": "speech-model",
    "architecture": "toy",
    "about": "For the tests.",
    "licence": "mit",
    "attribution": "Nobody.",
    "to_check": [],
    "group": "toys",
    "repository": "maker/toy",
    "branch": "main",
    "roles": {
        "weights": ["*.safetensors"],
        "tokenizer": ["tokenizer/*"],
        "config": ["config.json"],
        "notice": ["LICENSE*"],
    },
    "optional": ["notice"],
    "revision": None,
    "files": [],
}


@pytest.fixture
def private_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Nix store, cache and state of this test's own."""
    for variable in ("STORE", "STATE", "LOG", "CONF"):
        monkeypatch.setenv(f"NIX_{variable}_DIR", str(tmp_path / f"nix/{variable.lower()}"))
    monkeypatch.delenv("NIX_REMOTE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "nix/store"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What of a checkout the commands need, with one small model that is not locked."""
    copy = tmp_path / "checkout"
    for name in ("nix/models", "materials/licences"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("nix/json-folder.nix", "nix/licences.nix", "materials/profile.json", "nixw", "flake.nix"):
        shutil.copy(ROOT / name, copy / name)
    (copy / "materials/models").mkdir()
    (copy / "materials/models/toy.json").write_text(json.dumps(ENTRY))
    return copy


@pytest.fixture
def hub() -> Iterator[LocalHub]:
    """A hub with the small model: two shards of some pieces each, and small files."""
    with LocalHub() as local:
        local.repositories["maker/toy"] = Repository(
            revision=REVISION,
            files={
                SHARD: pseudo_random(500_000, 1),
                OTHER: pseudo_random(300_000, 2),
                "config.json": b'{"width": 8}\n',
                "tokenizer/vocabulary.txt": b"a\nb\n",
                "README.md": b"# Toy\n",
            },
        )
        yield local


def client(hub: LocalHub, token: str | None = None, retries: int = 2, timeout: float = 60) -> tuple[Hub, list[str]]:
    """Return a client that does not really wait, and what it says and how long it would have waited."""
    said: list[str] = []

    def wait(seconds: float) -> None:
        said.append(f"waited {seconds:g}")

    return Hub(hub.endpoint, token, retries, timeout=timeout, say=said.append, sleep=wait), said


def locked(checkout: Path, hub: LocalHub) -> Model:
    """Lock the small model and return it."""
    revision, files, _ = client(hub, TOKEN)[0].resolve(read_models(checkout)["toy"])
    write_lock(checkout, "toy", revision, files)
    return read_models(checkout)["toy"]


def take(model: Model, checkout: Path, source: Hub, jobs: int = 1) -> Outcome:
    """Ingest a model."""
    return ingest(model, store.store_paths(checkout, [model]), source.fetch, jobs)


def waiting_bytes() -> int:
    """Return how many bytes of unfinished files the cache has."""
    total = 0
    for path in cache_folder().rglob("*"):
        # A command that still runs takes away what it has finished.
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def test_a_lock_has_the_revision_and_every_files_size_and_hash(checkout: Path, hub: LocalHub) -> None:
    model = locked(checkout, hub)
    content = hub.repositories["maker/toy"].files
    assert model.revision == REVISION
    assert {file.path: (file.role, file.size, file.sha256) for file in model.files} == {
        path: (role, len(content[path]), hashlib.sha256(content[path]).hexdigest())
        for path, role in (
            (SHARD, "weights"),
            (OTHER, "weights"),
            ("config.json", "config"),
            ("tokenizer/vocabulary.txt", "tokenizer"),
        )
    }


def test_locking_fetches_no_weights(checkout: Path, hub: LocalHub) -> None:
    locked(checkout, hub)
    assert not [seen for seen in hub.requests if seen.path.endswith(".safetensors")]
    assert {seen.where for seen in hub.requests} == {"hub"}


def test_locking_keeps_what_a_person_wrote_and_puts_each_file_on_a_line(checkout: Path, hub: LocalHub) -> None:
    locked(checkout, hub)
    text = (checkout / "materials/models/toy.json").read_text()
    assert {**json.loads(text), "revision": None, "files": []} == ENTRY
    assert sum(line.startswith('    {"path": ') for line in text.splitlines()) == 4


def test_locking_again_without_a_change_at_the_hub_gives_the_same_bytes(checkout: Path, hub: LocalHub) -> None:
    locked(checkout, hub)
    before = (checkout / "materials/models/toy.json").read_bytes()
    locked(checkout, hub)
    assert (checkout / "materials/models/toy.json").read_bytes() == before


def test_a_role_that_no_file_fills_is_named(checkout: Path, hub: LocalHub) -> None:
    del hub.repositories["maker/toy"].files["config.json"]
    with pytest.raises(
        StageError, match=r"maker/toy.*no file for 'config' \(config\.json\).*materials/models/toy\.json"
    ):
        locked(checkout, hub)


def test_an_altered_small_file_is_caught_while_locking(checkout: Path, hub: LocalHub) -> None:
    hub.fail("config.json", Fault(altered_at=3))
    with pytest.raises(StageError, match=r"config\.json: wrong bytes"):
        locked(checkout, hub)


def test_an_ingested_file_is_at_the_path_that_its_derivation_has(
    checkout: Path, hub: LocalHub, private_store: Path
) -> None:
    model = locked(checkout, hub)
    assert take(model, checkout, client(hub)[0]) == Outcome(present=0, added=4)
    for file, path in store.store_paths(checkout, [model]).items():
        assert path.parent == private_store
        assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    assert waiting_bytes() == 0


def test_ingesting_again_asks_the_hub_nothing(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    take(model, checkout, client(hub)[0])
    hub.requests.clear()
    assert take(model, checkout, client(hub)[0]) == Outcome(present=4, added=0)
    assert hub.requests == []


def test_ingested_files_survive_garbage_collection(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    take(model, checkout, client(hub)[0], jobs=3)
    store.run_nix("nix-store", "--gc")
    assert store.missing_paths(store.store_paths(checkout, [model]).values()) == set()


def test_a_cut_connection_costs_no_byte(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    hub.sent = 0
    hub.fail(SHARD, Fault(cut_after=130_000), Fault(cut_after=70_000))
    source, said = client(hub)
    take(model, checkout, source)
    assert hub.sent == model.size
    assert [seen.range for seen in hub.requests if seen.where == "network" and SHARD in seen.path] == [
        None,
        "bytes=130000-",
        "bytes=200000-",
    ]
    assert said == [f"model 'toy': {SHARD}: the connection was cut; trying again in 1 s (1 of 2)", "waited 1"] * 2


def test_many_cuts_are_no_reason_to_stop_while_bytes_arrive(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    hub.sent = 0
    hub.fail(SHARD, *[Fault(cut_after=10_000)] * 40)
    take(model, checkout, client(hub, retries=1)[0])
    assert hub.sent == model.size


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    hub.sent = 0
    hub.fail(SHARD, Fault(cut_after=400_000), *[Fault(cut_after=0)] * 3)
    with pytest.raises(
        StageError,
        match=rf"{SHARD}: the connection was cut; 400000 of 500000 bytes are kept, and the same command goes on",
    ):
        take(model, checkout, client(hub)[0])
    assert waiting_bytes() == 400_000
    take(model, checkout, client(hub)[0])
    assert hub.sent == model.size


def test_a_killed_ingest_goes_on_where_it_was(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    hub.sent = 0
    hub.fail(SHARD, Fault(cut_after=250_000), Fault(hangs=True))
    process = start(checkout, "models", "ingest", "toy", "--jobs", "1", HF_ENDPOINT=hub.endpoint)
    assert process.stderr is not None
    while "trying again" not in process.stderr.readline():
        assert process.poll() is None
    while not [seen for seen in hub.requests if seen.range == "bytes=250000-"]:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert take(model, checkout, client(hub)[0]).added >= 1
    assert hub.sent == model.size
    assert store.missing_paths(store.store_paths(checkout, [model]).values()) == set()


STUBBORN = {
    "401": (Fault(status=401), "refuses access (401); set HF_TOKEN"),
    "401, wrong token": (
        Fault(status=401, body=b'{"error": "Invalid credentials in Authorization header"}'),
        "refuses access (401); set HF_TOKEN",
    ),
    "403": (Fault(status=403), "refuses access (403); set HF_TOKEN"),
    "gated": (Fault(status=403, code="GatedRepo"), "asks everyone to accept terms first"),
    "no repository": (Fault(status=404, code="RepoNotFound"), "shows no such repository"),
    "no revision": (Fault(status=404, code="RevisionNotFound"), "no longer has this revision"),
    "no file": (Fault(status=404, code="EntryNotFound"), "no such file at the locked revision"),
    "404": (Fault(status=404), "does not have it (404)"),
    "redirects in circles": (Fault(moves_to="itself"), "sends us in circles"),
    "longer than locked": (Fault(status=200, body=b"x" * 500_001), "sends more than the locked 500000 bytes"),
}


@pytest.mark.parametrize(("fault", "sentence"), STUBBORN.values(), ids=STUBBORN)
def test_a_failure_that_stays_ends_in_a_sentence_and_loses_nothing(
    checkout: Path, hub: LocalHub, private_store: Path, fault: Fault, sentence: str
) -> None:
    model = locked(checkout, hub)
    hub.sent = 0
    hub.fail(SHARD, Fault(cut_after=100_000), *[fault] * 40)
    with pytest.raises(StageError) as caught:
        take(model, checkout, client(hub)[0])
    message = str(caught.value)
    assert message.startswith(f"model 'toy': {SHARD}: ") and sentence in message and "\n" not in message
    assert "http://" not in message and "Signature" not in message
    hub._faults.clear()
    take(model, checkout, client(hub)[0])
    expected = (
        model.size
        if sentence.startswith(("refuses", "asks", "shows", "no", "does", "sends us"))
        else model.size + 100_000
    )
    assert hub.sent == expected


PASSING = {
    "429": Fault(status=429),
    "429 with a wait": Fault(status=429, headers=(("Retry-After", "7"),)),
    "408": Fault(status=408),
    "500": Fault(status=500),
    "502, a page of a proxy": Fault(status=502, body=b"<html>Bad gateway</html>"),
    "503": Fault(status=503),
    "504": Fault(status=504),
    "cut at once": Fault(cut_after=0),
    "body shorter than declared": Fault(cut_after=100),
    "declared shorter than it is": Fault(declared_short=1000),
    "range ignored": Fault(ignores_range=True, cut_after=200_000),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_a_failure_that_passes_is_retried_and_ends_in_the_right_bytes(
    checkout: Path, hub: LocalHub, private_store: Path, fault: Fault
) -> None:
    model = locked(checkout, hub)
    hub.fail(SHARD, Fault(cut_after=100_000), fault, fault)
    source, said = client(hub, retries=3)
    take(model, checkout, source)
    assert verify(model, store.store_paths(checkout, [model])).altered == {}
    if fault.headers:
        assert said.count("waited 7") == 2


@pytest.mark.parametrize("what", ["revision", "config.json"])
@pytest.mark.parametrize(
    "fault",
    [fault for fault in PASSING.values() if fault.status],
    ids=[name for name, fault in PASSING.items() if fault.status],
)
def test_locking_survives_what_passes(checkout: Path, hub: LocalHub, what: str, fault: Fault) -> None:
    hub.fail(what, fault, fault)
    assert len(locked(checkout, hub).files) == 4


def test_locking_says_what_stays_and_changes_nothing(checkout: Path, hub: LocalHub) -> None:
    before = (checkout / "materials/models/toy.json").read_bytes()
    faults = (
        (Fault(status=500), "answers 500"),
        (Fault(status=401), "401"),
        (Fault(status=403), "403"),
        (Fault(status=200, body=b"<html>log in first</html>"), "not a hub's"),
    )
    for fault, sentence in faults:
        hub.fail("revision", *[fault] * 3)
        with pytest.raises(StageError, match=rf"model 'toy' \(maker/toy\): .*{sentence}") as caught:
            locked(checkout, hub)
        assert "\n" not in str(caught.value)
        hub._faults.clear()
    assert (checkout / "materials/models/toy.json").read_bytes() == before


def test_a_hub_that_asks_for_a_very_long_wait_is_left_alone(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    hub.fail(SHARD, Fault(status=429, headers=(("Retry-After", "7200"),)))
    with pytest.raises(StageError, match=r"limits our requests \(429\); it asks to wait 7200 s"):
        take(model, checkout, client(hub)[0])


def test_a_hub_that_is_not_there_is_named_as_unreachable(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    source, _ = client(hub)
    nowhere = replace(source, endpoint="http://127.0.0.1:9")
    with pytest.raises(StageError, match="the hub cannot be reached; 0 of 13 bytes are kept"):
        take(model, checkout, nowhere)
    with pytest.raises(StageError, match="HF_ENDPOINT is not the address of a hub"):
        take(model, checkout, replace(source, endpoint="no-scheme"))


def test_a_hub_that_hangs_is_not_waited_for_without_end(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    hub.fail(SHARD, *[Fault(hangs=True)] * 2)
    patient, impatient = client(hub)[0], client(hub, retries=1, timeout=0.2)[0]

    # A busy hub must not be taken for one that hangs.
    def fetch(model: Model, file: LockedFile, target: Path, on_bytes: Callable[[int], None]) -> None:
        (impatient if file.path == SHARD else patient).fetch(model, file, target, on_bytes)

    with pytest.raises(StageError, match=f"{SHARD}: the hub does not answer in time; 0 of 500000 bytes are kept"):
        ingest(model, store.store_paths(checkout, [model]), fetch, 1)


@pytest.mark.parametrize("place", [0, 249_999, 499_999])
def test_a_wrong_byte_anywhere_is_caught_by_name_and_thrown_away(
    checkout: Path, hub: LocalHub, private_store: Path, place: int
) -> None:
    model = locked(checkout, hub)
    hub.fail(SHARD, Fault(altered_at=place))
    with pytest.raises(
        StageError,
        match=rf"model 'toy': {SHARD}: wrong bytes: its sha256 is [0-9a-f]{{64}}, the lock says [0-9a-f]{{64}}",
    ):
        take(model, checkout, client(hub)[0])
    assert waiting_bytes() == 0
    take(model, checkout, client(hub)[0])
    assert verify(model, store.store_paths(checkout, [model])).altered == {}


def test_a_partial_file_that_was_tampered_with_is_caught(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    hub.fail(SHARD, Fault(cut_after=400_000), *[Fault(cut_after=0)] * 3)
    with pytest.raises(StageError):
        take(model, checkout, client(hub)[0])
    partial = next(path for path in cache_folder().rglob(SHARD))
    content = bytearray(partial.read_bytes())
    content[12345] ^= 1
    partial.write_bytes(content)
    with pytest.raises(StageError, match=f"{SHARD}: wrong bytes"):
        take(model, checkout, client(hub)[0])
    take(model, checkout, client(hub)[0])


def test_one_failing_file_stops_the_others_without_losing_them(
    checkout: Path, hub: LocalHub, private_store: Path
) -> None:
    model = locked(checkout, hub)
    hub.fail(SHARD, *[Fault(status=403)] * 3)
    with pytest.raises(StageError, match=f"{SHARD}: the hub refuses access"):
        take(model, checkout, client(hub)[0], jobs=4)
    hub._faults.clear()
    take(model, checkout, client(hub)[0], jobs=4)
    assert verify(model, store.store_paths(checkout, [model])).missing == []


def test_two_models_with_the_same_file_fetch_it_once(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    shutil.copy(checkout / "materials/models/toy.json", checkout / "materials/models/twin.json")
    take(model, checkout, client(hub)[0])
    hub.requests.clear()
    assert take(read_models(checkout)["twin"], checkout, client(hub)[0]) == Outcome(present=4, added=0)
    assert hub.requests == []


def test_a_full_disk_is_foreseen(
    checkout: Path, hub: LocalHub, private_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = locked(checkout, hub)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: os.terminal_size((0, 0)) and type("Usage", (), {"free": 600_000})()
    )
    hub.requests.clear()
    with pytest.raises(StageError, match=r"model 'toy' needs 0\.0 GB in .*nix/store"):
        take(model, checkout, client(hub)[0])
    assert hub.requests == []


def test_an_unlocked_model_says_to_lock_it(checkout: Path, private_store: Path) -> None:
    model = read_models(checkout)["toy"]
    for call in (
        lambda: ingest(model, {}, lambda *_: None),
        lambda: verify(model, {}),
        lambda: add_local(model, {}, checkout),
    ):
        with pytest.raises(StageError, match=r"model 'toy' is not locked: .* run: reel models lock toy"):
            call()


def write_folder(folder: Path, hub: LocalHub) -> Path:
    """Write the repository to disk, as a download of it would."""
    for path, content in hub.repositories["maker/toy"].files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


def test_weights_from_disk_give_the_same_store_paths_as_the_hub(
    checkout: Path, hub: LocalHub, private_store: Path, tmp_path: Path
) -> None:
    model = locked(checkout, hub)
    paths = store.store_paths(checkout, [model])
    hub.requests.clear()
    assert add_local(model, paths, write_folder(tmp_path / "disk", hub)) == Outcome(present=0, added=4)
    assert take(model, checkout, client(hub)[0]) == Outcome(present=4, added=0)
    assert hub.requests == []


def test_weights_from_the_hubs_own_cache_are_taken_through_its_links(
    checkout: Path, hub: LocalHub, private_store: Path, tmp_path: Path
) -> None:
    model = locked(checkout, hub)
    snapshot = write_folder(tmp_path / "snapshot", hub)
    (tmp_path / "blobs").mkdir()
    for file in model.files:
        (snapshot / file.path).rename(tmp_path / "blobs" / file.sha256)
        (snapshot / file.path).symlink_to(tmp_path / "blobs" / file.sha256)
    assert add_local(model, store.store_paths(checkout, [model]), snapshot).added == 4
    assert (tmp_path / "blobs" / model.files[0].sha256).is_file()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda path: path.unlink(), "is missing; the folder must be laid out like maker/toy"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has 499999 bytes, the lock says 500000"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\0"), "wrong bytes: its sha256 is"),
    ],
    ids=["missing", "cut short", "altered"],
)
def test_damaged_weights_on_disk_are_named_and_nothing_is_added(
    checkout: Path, hub: LocalHub, private_store: Path, tmp_path: Path, damage: object, sentence: str
) -> None:
    model = locked(checkout, hub)
    folder = write_folder(tmp_path / "disk", hub)
    assert callable(damage)
    damage(folder / SHARD)
    paths = store.store_paths(checkout, [model])
    with pytest.raises(StageError, match=rf"model 'toy': .*{SHARD}.*{re.escape(sentence)}"):
        add_local(model, paths, folder)
    assert store.missing_paths(paths.values()) == set(paths.values())


def test_verify_names_missing_and_altered_files(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    model = locked(checkout, hub)
    take(model, checkout, client(hub)[0])
    paths = store.store_paths(checkout, [model])
    by_name = {file.path: (file, path) for file, path in paths.items()}
    config, altered = by_name["config.json"]
    altered.chmod(0o644)
    altered.write_bytes(altered.read_bytes().replace(b"8", b"9"))
    shard, deleted = by_name[SHARD]
    store.run_nix("nix-store", "--delete", "--ignore-liveness", str(deleted))
    state = verify(model, paths)
    assert state.missing == [shard]
    assert list(state.altered) == [config]
    assert len(state.right) == 2


def start(checkout: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start the command line."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), **variables}
    command = [sys.executable, "-c", "from reelgraph.cli.main import main; main(prog_name='reel')", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=checkout, env=environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=heed_interrupts
    )


def heed_interrupts() -> None:
    """Undo what a shell does to what it runs in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def reel(checkout: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    process = start(checkout, *arguments, **variables)
    output, said = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, said)


def test_verify_says_that_nothing_is_locked(checkout: Path) -> None:
    finished = reel(checkout, "models", "verify")
    assert (finished.returncode, finished.stdout) == (0, "")
    assert (
        finished.stderr == "reel: no model is locked, so there is nothing to verify; lock one: reel models lock NAME\n"
    )


def test_the_command_that_verify_prints_mends_an_altered_file(
    checkout: Path, hub: LocalHub, private_store: Path
) -> None:
    model = locked(checkout, hub)
    take(model, checkout, client(hub)[0])
    paths = store.store_paths(checkout, [model])
    altered = next(path for file, path in paths.items() if file.path == SHARD)
    altered.chmod(0o644)
    with altered.open("r+b") as stream:
        stream.seek(1234)
        stream.write(b"????")
    finished = reel(checkout, "models", "verify", "toy")
    assert finished.returncode == 1
    assert f"  {SHARD}: wrong bytes: its sha256 is " in finished.stdout
    command = next(line for line in finished.stdout.splitlines() if line.startswith("    run: "))
    mend, _, again = command.removeprefix("    run: ").partition(" && reel ")
    subprocess.run(mend, shell=True, check=True, capture_output=True)
    assert reel(checkout, *again.split(), HF_ENDPOINT=hub.endpoint).returncode == 0
    assert verify(model, paths).right == list(model.files)


def test_an_interrupted_ingest_ends_and_goes_on_later(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    content = pseudo_random(3_000_000, 3)

    def read_slowly(start: int, end: int) -> bytes:
        time.sleep(0.05)
        return content[start:end][: 1 << 14]

    repository = hub.repositories["maker/toy"]
    del repository.files[SHARD]
    digest = hashlib.sha256(content).hexdigest()
    repository.generated[SHARD] = (len(content), digest, read_slowly)
    model = locked(checkout, hub)
    process = start(checkout, "models", "ingest", "toy", HF_ENDPOINT=hub.endpoint)
    # What was sent may still be on its way; an interruption keeps what has arrived.
    while hub.sent < 800_000 or waiting_bytes() < 500_000:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.wait() != 0
    assert waiting_bytes() >= 100_000
    repository.generated[SHARD] = (len(content), digest, lambda start, end: content[start:end])
    hub.requests.clear()
    take(model, checkout, client(hub)[0])
    assert [seen.range for seen in hub.requests if seen.where == "network" and SHARD in seen.path] != [None]


def test_the_commands_lock_ingest_list_and_verify(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    finished = reel(checkout, "models", "lock", "toys", HF_ENDPOINT=hub.endpoint)
    assert (finished.returncode, "toy: 4 files, 0.00 GB at " + REVISION in finished.stdout) == (0, True), (
        finished.stderr
    )
    assert "without a role, not locked: README.md" in finished.stdout
    assert reel(checkout, "models", "verify", "toy").returncode == 3
    finished = reel(checkout, "models", "ingest", "toys", HF_ENDPOINT=hub.endpoint)
    assert (finished.returncode, finished.stdout) == (0, "toy: 4 files added, 0 were in the store\n"), finished.stderr
    assert re.search(r"ingest toy: 800/800 kilobytes, .*/s", finished.stderr)
    assert reel(checkout, "models", "verify", "toy").stdout == "toy: 4 files right, 0 missing, 0 altered\n"
    listed = json.loads(reel(checkout, "models", "list", "--json").stdout)["models"][0]
    assert (listed["allowed"], listed["locked"], listed["files"], listed["in_store"]) == (True, True, 4, 4)


def test_ingesting_can_lock_first_what_is_not_locked_and_moves_no_lock(
    checkout: Path, hub: LocalHub, private_store: Path
) -> None:
    finished = reel(checkout, "models", "ingest", "--lock", "toy", HF_ENDPOINT=hub.endpoint)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.endswith("toy: 4 files added, 0 were in the store\n")
    hub.repositories["maker/toy"].revision = "f" * 40
    reel(checkout, "models", "ingest", "--lock", "toy", HF_ENDPOINT=hub.endpoint)
    assert read_models(checkout)["toy"].revision == REVISION


def test_an_unknown_model_names_the_known_ones(checkout: Path, private_store: Path) -> None:
    finished = reel(checkout, "models", "ingest", "wan99")
    assert finished.returncode == 2
    assert "reel: model 'wan99' is unknown; known are toy and the groups toys" in finished.stderr


def test_a_model_that_we_may_not_use_is_neither_locked_nor_fetched(
    checkout: Path, hub: LocalHub, private_store: Path
) -> None:
    entry = {**ENTRY, "licence": "flux-dev-non-commercial"}
    (checkout / "materials/models/toy.json").write_text(json.dumps(entry))
    for verb in ("lock", "ingest"):
        finished = reel(checkout, "models", verb, "toy", HF_ENDPOINT=hub.endpoint)
        assert finished.returncode == 1
        assert (
            "commercial use is not allowed, and the profile is commercial (section 2(b)); lifted by the agreement"
            in finished.stderr
        )
    assert hub.requests == []


def test_ingesting_takes_the_same_memory_for_a_file_of_any_size(
    checkout: Path, hub: LocalHub, private_store: Path
) -> None:
    def peak(size: int) -> int:
        block = pseudo_random(1 << 18, size)
        digest = hashlib.sha256()
        for start in range(0, size, len(block)):
            digest.update(block[: min(len(block), size - start)])
        generated = {
            SHARD: (size, digest.hexdigest(), lambda start, end: (block + block)[start % len(block) :][: end - start])
        }
        hub.repositories["maker/toy"] = Repository(
            REVISION, {"config.json": b"{}", "tokenizer/v": b"v"}, generated=generated
        )
        locked(checkout, hub)
        script = (
            "import resource, sys; from reelgraph.cli.main import main\n"
            "try: main(['models', 'ingest', 'toy'])\n"
            "except SystemExit as end: assert not end.code\n"
            "print(max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))"
        )
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "HF_ENDPOINT": hub.endpoint}
        finished = subprocess.run(
            [sys.executable, "-c", script], cwd=checkout, env=environment, capture_output=True, text=True, check=True
        )
        return int(finished.stdout.splitlines()[-1]) // 1024

    small, large = peak(8 << 20), peak(400 << 20)
    assert large - small < 32, f"{small} MiB for 8 MiB, {large} MiB for 400 MiB"


PASSED_AS = {
    "HF_TOKEN, with the client's debug log": lambda folder: {"HF_TOKEN": TOKEN, "HF_DEBUG": "1"},
    "netrc": lambda folder: {"NETRC": write_netrc(folder / "netrc", "127.0.0.1")},
}


def write_netrc(path: Path, host: str) -> str:
    """Write a netrc with the token for a host."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"machine {host} login anyone password {TOKEN}\n")
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize("passed_as", PASSED_AS.values(), ids=PASSED_AS)
def test_a_token_reaches_the_hub_and_nothing_else(
    checkout: Path,
    hub: LocalHub,
    private_store: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    passed_as: Callable[[Path], dict[str, str]],
) -> None:
    hub.repositories["maker/toy"].private = True
    hub.fail("config.json", Fault(status=503))
    hub.fail(SHARD, Fault(cut_after=100_000), Fault(status=403), Fault(altered_at=200_000))
    variables = {"HF_ENDPOINT": hub.endpoint, **passed_as(tmp_path_factory.mktemp("secret"))}
    calls = [("lock", 0), ("ingest", 3), ("ingest", 1), ("ingest", 0), ("verify", 0)]
    said = ""
    for verb, status in calls:
        finished = reel(checkout, "models", verb, "toy", **variables)
        assert finished.returncode == status, finished.stderr
        said += finished.stdout + finished.stderr
    assert [seen.path for seen in hub.requests if seen.where == "hub" and seen.token != TOKEN] == []
    assert {seen.token for seen in hub.requests if seen.where == "network"} == {None}
    assert TOKEN not in said and "hubSignature" not in said
    holders = [path for path in tmp_path.rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()]
    assert holders == []


def test_the_environments_token_goes_before_netrcs_which_is_for_its_host_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "NETRC"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert find_token("hub.example") is None
    write_netrc(tmp_path / "home/.netrc", "hub.example")
    assert (find_token("hub.example"), find_token("other.example")) == (TOKEN, None)
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", "hf_older")
    assert find_token("hub.example") == "hf_older"
    monkeypatch.setenv("HF_TOKEN", "hf_newer\n")
    assert find_token("hub.example") == "hf_newer"


def test_a_private_repository_without_a_token_says_how_to_give_one(checkout: Path, hub: LocalHub) -> None:
    hub.repositories["maker/toy"].private = True
    with pytest.raises(
        StageError, match="the hub shows no such repository; check its name, and if it is private, set HF_TOKEN"
    ):
        client(hub)[0].resolve(read_models(checkout)["toy"])


def test_a_gated_repository_says_to_accept_its_terms(checkout: Path, hub: LocalHub) -> None:
    hub.repositories["maker/toy"].gated = True
    for token in (None, "hf_ofSomebodyWhoDidNotAccept"):
        with pytest.raises(StageError, match="its owner asks everyone to accept terms first"):
            client(hub, token)[0].resolve(read_models(checkout)["toy"])


def test_a_password_in_the_endpoint_is_refused_unprinted(checkout: Path, private_store: Path) -> None:
    finished = reel(checkout, "models", "ingest", "toy", HF_ENDPOINT=f"https://me:{TOKEN}@hub.example")
    assert finished.returncode == 2
    assert "HF_ENDPOINT has a user or password in it" in finished.stderr and TOKEN not in finished.stderr


def test_a_netrc_that_cannot_be_read_is_not_quoted(checkout: Path, private_store: Path, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text(f"machine hub.example {TOKEN} {TOKEN}\n")
    finished = reel(
        checkout, "models", "ingest", "toy", NETRC=str(tmp_path / "netrc"), HF_ENDPOINT="https://hub.example"
    )
    assert finished.returncode == 2
    assert "netrc: line 1 cannot be read" in finished.stderr and TOKEN not in finished.stderr


def test_an_offline_client_says_so(checkout: Path, hub: LocalHub, private_store: Path) -> None:
    finished = reel(checkout, "models", "lock", "toy", HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="1")
    assert finished.returncode == 3
    assert "HF_HUB_OFFLINE is set" in finished.stderr
