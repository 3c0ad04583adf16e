"""A release says where its checkpoint comes from, and `reel verify` says which part of it is not so."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from made_store import MadeStage, MadeStore
from safetensors.numpy import load_file

from reelgraph.errors import StageError
from reelgraph.files import file_hash
from reelgraph.provenance.release import BOM, STATEMENT, make_release
from reelgraph.provenance.stamp import read_checkpoint
from reelgraph.provenance.verify import Check, verify
from reelgraph.stage import validate

LORA = "lora.safetensors"


def lora_bytes(numbers: numpy.ndarray, metadata: dict[str, str]) -> bytes:
    """Return a checkpoint file as the project's writer lays it out."""
    data = numbers.astype("<f4").tobytes()
    tensors = {"w.lora_A": {"data_offsets": [0, 16], "dtype": "F32", "shape": [4]}}
    tensors["w.lora_B"] = {"data_offsets": [16, len(data)], "dtype": "F32", "shape": [len(numbers) - 4]}
    header = json.dumps({"__metadata__": metadata, **tensors}, sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data


@pytest.fixture
def made(tmp_path: Path) -> MadeStore:
    """source -> checkpoint, built, of an episode whose id and title nobody outside may know."""
    made = MadeStore(tmp_path / "store")
    source = {"episode": "secret-one", "title": "The Secret", "licence": "agreement-7"}
    made.put(
        MadeStage("secret-one/source", {"master": "film"}, source, packages=("av-18.1.0", "click-8.5.1")),
        MadeStage("set/model", {}, {"seed": 22}, kind="wan22-model"),
        MadeStage(
            "set/checkpoint",
            {"source": {"secret-one": "secret-one/source"}, "model": "set/model", "labels": "by hand"},
            kind="checkpoint",
        ),
    )
    made.build("secret-one/source", {"probe.json": "{}"})
    model = made.build("set/model", {"model.json": "{}"})
    digest = json.dumps(json.loads((made.file(model) / "stage.json").read_text())["files"], sort_keys=True)
    metadata = {
        "reelgraph.base_model_hash": f"sha256:{hashlib.sha256(digest.encode()).hexdigest()}",
        "reelgraph.seed": "22",
    }
    made.build("set/checkpoint", {LORA: lora_bytes(numpy.arange(12), metadata), "loss.jsonl": "{}\n"})
    return made


@pytest.fixture
def release(made: MadeStore, tmp_path: Path) -> Path:
    """The folder of a release."""
    make_release(made.checkout, "set.checkpoint", tmp_path / "release", store=made.store)
    return tmp_path / "release"


def checks_of(release: Path, made: MadeStore, key: Path | None = None) -> dict[str, Check]:
    """Return the checks of a release by name."""
    return {check.name: check for check in verify(release / LORA, None, key, made.store)}


def bad(checks: dict[str, Check]) -> dict[str, str]:
    """Return the sentences of the bad ones."""
    return {name: check.sentence for name, check in checks.items() if check.outcome == "bad"}


def edit_statement(release: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the statement, and have the checkpoint name the changed one, as somebody would who wants to deceive."""
    statement = json.loads((release / STATEMENT).read_text())
    edit(statement)
    (release / STATEMENT).write_text(json.dumps(statement))
    checkpoint = read_checkpoint(release / LORA)
    checkpoint.write(release / "new", file_hash(release / STATEMENT))
    (release / "new").replace(release / LORA)


def dependencies(statement: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the statement's dependencies."""
    return statement["predicate"]["buildDefinition"]["resolvedDependencies"]


def test_a_release_is_good(release: Path, made: MadeStore) -> None:
    checks = checks_of(release, made)
    assert bad(checks) == {}
    assert {name for name, check in checks.items() if check.outcome == "open"} == {"signature"}
    assert checks["store"].sentence == "3 of 3 stages in this store with the same contents"


def test_the_checkpoint_names_its_statement_and_is_otherwise_as_it_was_built(release: Path, made: MadeStore) -> None:
    checkpoint = read_checkpoint(release / LORA)
    assert checkpoint.statement == file_hash(release / STATEMENT)
    [original] = made.root.glob(f"nix/store/*/{LORA}")
    checkpoint.write(release / "plain", None)
    assert (release / "plain").read_bytes() == original.read_bytes()
    assert (load_file(release / LORA)["w.lora_B"] == load_file(original)["w.lora_B"]).all()


def test_the_statement_is_in_toto_and_slsa_by_their_own_libraries(release: Path) -> None:
    statement = json.loads((release / STATEMENT).read_text())
    Statement.copy_from_pb(json_format.ParseDict(statement, StatementMessage())).validate()
    json_format.ParseDict(statement["predicate"], Provenance())


def test_the_bill_of_materials_is_cyclonedx_by_its_own_schema(release: Path) -> None:
    text = (release / BOM).read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    assert {"av", "click"} <= {component["name"] for component in bom["components"]}
    [master] = [component for component in bom["components"] if component["bom-ref"].startswith("master:")]
    assert master["licenses"] == [{"license": {"name": "agreement-7"}}]


def test_a_statement_has_every_master_package_code_and_the_revision(release: Path) -> None:
    found = dependencies(json.loads((release / STATEMENT).read_text()))
    assert {entry["annotations"]["role"] for entry in found} == {"master", "material", "package", "code", "revision"}
    [master] = [entry for entry in found if entry["annotations"].get("licence")]
    assert master["annotations"]["licence"] == "agreement-7"
    assert len(master["digest"]["sha256"]) == 64


def test_a_file_has_the_licence_of_its_own_work_and_not_of_what_else_a_stage_reads(tmp_path: Path) -> None:
    made = MadeStore(tmp_path / "store")
    inputs, works = {"speech": "a voice", "model": "weights"}, {"speech": ["a-reading"], "model": ["whisper"]}
    made.put(
        MadeStage("one/transcript", inputs, works=works),
        MadeStage("set/checkpoint", {"transcript": "one/transcript"}, kind="checkpoint"),
    )
    made.build("one/transcript", {"transcript.json": "{}"})
    made.build("set/checkpoint", {LORA: lora_bytes(numpy.arange(12), {"reelgraph.seed": "22"})})
    make_release(made.checkout, "set.checkpoint", tmp_path / "release", store=made.store)
    found = dependencies(json.loads((tmp_path / "release" / STATEMENT).read_text()))
    notes = [entry["annotations"] for entry in found if "input" in entry["annotations"]]
    licences = {note["input"]: note["licences"] for note in notes}
    assert licences == {"speech": {"a-reading": {}}, "model": {"whisper": {}}}


def test_a_statement_names_no_episode_unless_it_may(made: MadeStore, tmp_path: Path) -> None:
    for names, there in ((None, False), (False, False), (True, True)):
        folder = tmp_path / f"release-{names}"
        make_release(made.checkout, "set.checkpoint", folder, with_names=names, store=made.store)
        text = (folder / STATEMENT).read_text() + (folder / BOM).read_text()
        assert ("secret-one" in text) is there and ("The Secret" in text) is there
        assert bad(checks_of(folder, made)) == {}


def test_the_profile_decides_about_names(made: MadeStore, tmp_path: Path) -> None:
    (made.root / "materials").mkdir()
    (made.root / "materials/profile.json").write_text('{"publish_master_names": true}')
    make_release(made.checkout, "set.checkpoint", tmp_path / "release", store=made.store)
    assert "secret-one" in (tmp_path / "release" / STATEMENT).read_text()


def test_the_same_build_gives_the_same_release(made: MadeStore, release: Path, tmp_path: Path) -> None:
    make_release(made.checkout, "set.checkpoint", tmp_path / "again", store=made.store)
    for file in release.iterdir():
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes()


@pytest.mark.parametrize("place", [-1, -30])
def test_a_changed_byte_of_a_tensor_is_found_and_the_tensor_named(release: Path, made: MadeStore, place: int) -> None:
    content = bytearray((release / LORA).read_bytes())
    content[place] ^= 1
    (release / LORA).write_bytes(content)
    [(name, sentence)] = bad(checks_of(release, made)).items()
    assert name == "contents"
    assert "1 of 2 tensors differ, w.lora_B most" in sentence


def test_a_changed_byte_is_found_without_the_store(release: Path, made: MadeStore, tmp_path: Path) -> None:
    content = bytearray((release / LORA).read_bytes())
    content[-1] ^= 1
    (release / LORA).write_bytes(content)
    checks = checks_of(release, MadeStore(tmp_path / "empty"))
    assert bad(checks) == {"contents": f"{LORA} is not the statement's file: its numbers differ"}
    assert checks["store"].outcome == "open"


def test_changed_metadata_is_found(release: Path, made: MadeStore) -> None:
    content = (release / LORA).read_bytes()
    (release / LORA).write_bytes(content.replace(b'"reelgraph.seed":"22"', b'"reelgraph.seed":"23"'))
    assert bad(checks_of(release, made)) == {
        "contents": f"{LORA} is not the statement's file: its header differs, its numbers do not"
    }


def test_a_swapped_statement_is_found(release: Path, made: MadeStore) -> None:
    (release / STATEMENT).write_text((release / STATEMENT).read_text() + " ")
    [(name, sentence)] = bad(checks_of(release, made)).items()
    assert name == "statement" and "it was swapped or changed" in sentence


@pytest.mark.parametrize("role", ["master", "material", "package", "code"])
def test_a_missing_dependency_is_named(release: Path, made: MadeStore, role: str) -> None:
    taken: list[dict[str, Any]] = []

    def edit(statement: dict[str, Any]) -> None:
        listed = dependencies(statement)
        first = next(entry for entry in listed if entry["annotations"]["role"] == role)
        taken.extend(entry for entry in listed if entry["digest"] == first["digest"])
        listed[:] = [entry for entry in listed if entry not in taken]

    edit_statement(release, edit)
    [(name, sentence)] = bad(checks_of(release, made)).items()
    if role == "package":
        assert (name, sentence) == ("packages", "package av@18.1.0 of environment made is no dependency")
    else:
        assert name == "chain" and taken[0]["digest"]["sha256"][:12] in sentence


def test_a_missing_stage_is_named(release: Path, made: MadeStore) -> None:
    edit_statement(release, lambda said: said["predicate"]["buildDefinition"]["internalParameters"]["stages"].pop(2))
    sentences = bad(checks_of(release, made))
    assert sentences.keys() == {"chain", "origin"}
    assert sentences["chain"].startswith("set/checkpoint: its input 'model' (")


def test_a_subject_that_no_stage_made_is_named(release: Path, made: MadeStore) -> None:
    edit_statement(release, lambda said: said["subject"].append({"name": "other.bin", "digest": {"sha256": "0" * 64}}))
    assert bad(checks_of(release, made)) == {"subjects": "other.bin is the output of no stage of the statement"}


def test_a_base_model_that_the_statement_does_not_know_is_named(made: MadeStore, tmp_path: Path) -> None:
    metadata = {"reelgraph.base_model_hash": "sha256:" + "0" * 64}
    made.put(MadeStage("set/checkpoint", {"model": "set/model"}, {"name": "x"}, kind="checkpoint"))
    made.build("set/checkpoint", {LORA: lora_bytes(numpy.arange(12), metadata)})
    make_release(made.checkout, "set.checkpoint", tmp_path / "release", store=made.store)
    sentences = bad(checks_of(tmp_path / "release", made))
    assert sentences == {"origin": f"base_model_hash {'0' * 12} of the checkpoint's metadata is not in the statement"}


def test_a_store_that_was_changed_is_named(release: Path, made: MadeStore) -> None:
    [probe] = made.root.glob("nix/store/*/probe.json")
    probe.write_text("[]")
    assert "was changed after it was built" in bad(checks_of(release, made))["store"]


def test_a_signature_is_good_by_its_key_only(release: Path, made: MadeStore, tmp_path: Path, ssh_keygen: str) -> None:
    for name in ("mine", "other"):
        subprocess.run([ssh_keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)], check=True)
    make_release(made.checkout, "set.checkpoint", tmp_path / "signed", key=tmp_path / "mine", store=made.store)
    assert checks_of(tmp_path / "signed", made)["signature"].outcome == "open"
    assert checks_of(tmp_path / "signed", made, tmp_path / "mine.pub")["signature"].outcome == "good"
    assert set(bad(checks_of(tmp_path / "signed", made, tmp_path / "other.pub"))) == {"signature"}
    signers = tmp_path / "signers"
    signers.write_text(f"team@example.org {(tmp_path / 'mine.pub').read_text()}")
    assert "by team@example.org" in checks_of(tmp_path / "signed", made, signers)["signature"].sentence
    assert checks_of(release, made, tmp_path / "mine.pub")["signature"].sentence == f"{STATEMENT} is not signed"


def test_a_minisign_signature_is_good_by_its_key_only(
    made: MadeStore, tmp_path: Path, minisign: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, options in (("mine", ["-W"]), ("other", ["-W"]), ("locked", [])):
        files = ["-p", str(tmp_path / f"{name}.pub"), "-s", str(tmp_path / f"{name}.key")]
        subprocess.run([minisign, "-G", *options, *files], input=b"secret\nsecret\n", capture_output=True, check=True)
    make_release(made.checkout, "set.checkpoint", tmp_path / "signed", key=tmp_path / "mine.key", store=made.store)
    assert checks_of(tmp_path / "signed", made, tmp_path / "mine.pub")["signature"].outcome == "good"
    assert set(bad(checks_of(tmp_path / "signed", made, tmp_path / "other.pub"))) == {"signature"}
    # Who is asked for a password sees the question.
    (tmp_path / "wrong").write_text("wrong\n")
    with (tmp_path / "wrong").open() as stream, pytest.raises(StageError, match="minisign could not sign with it"):
        answers = os.dup(0)
        os.dup2(stream.fileno(), 0)
        try:
            make_release(made.checkout, "set.checkpoint", tmp_path / "r", key=tmp_path / "locked.key", store=made.store)
        finally:
            os.dup2(answers, 0)
            os.close(answers)
    assert "Password: " in capfd.readouterr().err


def test_what_is_no_checkpoint_statement_or_key_is_named(release: Path, made: MadeStore, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"bom\.cdx\.json: is no safetensors file"):
        verify(release / BOM, None, None, made.store)
    with pytest.raises(
        StageError, match=r"nowhere\.json: no such statement; name it with --statement, or make a release"
    ):
        verify(release / LORA, tmp_path / "nowhere.json", None, made.store)
    with pytest.raises(StageError, match=r"bom\.cdx\.json: "):
        verify(release / LORA, release / BOM, None, made.store)
    with pytest.raises(StageError, match="no such key"):
        make_release(made.checkout, "set.checkpoint", tmp_path / "r", key=tmp_path / "key", store=made.store)


def test_a_release_overwrites_nothing_and_needs_a_built_checkpoint(
    release: Path, made: MadeStore, tmp_path: Path
) -> None:
    with pytest.raises(StageError, match="is not empty; name a new folder"):
        make_release(made.checkout, "set.checkpoint", release, store=made.store)
    made.put(MadeStage("set/checkpoint", {"model": "set/model"}, {"name": "other"}, kind="checkpoint"))
    with pytest.raises(StageError, match=r"set/checkpoint is not built; run: \./nixw build"):
        make_release(made.checkout, "set.checkpoint", tmp_path / "r", store=made.store)
    made.put(MadeStage("set/after", {"model": "set/model"}))
    with pytest.raises(StageError, match="must have one checkpoint, and has none"):
        made.stages.pop("set/checkpoint")
        make_release(made.checkout, "set.after", tmp_path / "r", store=made.store)


def test_the_checks_satisfy_their_schema(release: Path, made: MadeStore) -> None:
    checks = [{"name": c.name, "outcome": c.outcome, "sentence": c.sentence} for c in checks_of(release, made).values()]
    validate({"file": LORA, "good": True, "checks": checks}, "reel-verify", "verify")
