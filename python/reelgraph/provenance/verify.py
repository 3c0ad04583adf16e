"""Checking a checkpoint against its statement, the statement against itself, and both against the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import file_hash, tree_files
from reelgraph.graph.store import Store
from reelgraph.graph.words import counted, some
from reelgraph.provenance.release import STATEMENT
from reelgraph.provenance.signing import check_signature, find_signature
from reelgraph.provenance.stamp import Checkpoint, read_checkpoint
from reelgraph.provenance.statement import read_statement

GOOD, BAD, OPEN = "good", "bad", "open"


@dataclass(frozen=True)
class Check:
    """One question: what was asked, ``good``, ``bad`` or ``open`` (could not be answered here), and a sentence."""

    name: str
    outcome: str
    sentence: str


def verify(file: Path, statement: Path | None, key: Path | None, store: Store) -> list[Check]:
    """Check a checkpoint; ``statement`` is beside it if not named, ``key`` is whose signature is asked for."""
    checkpoint = read_checkpoint(file)
    path = statement or file.with_name(STATEMENT)
    if not path.is_file():
        raise StageError(
            f"{path}: no such statement; name it with --statement, or make a release: reel provenance", status=2
        )
    said = read_statement(path)
    checks = [_named(checkpoint, path), _contents(checkpoint, said, store)]
    checks += _chain(said)
    checks.append(_origin(checkpoint, said))
    checks += _in_store(said, store)
    checks.append(_signature(path, key))
    return checks


def _named(checkpoint: Checkpoint, statement: Path) -> Check:
    name, digest = checkpoint.path.name, file_hash(statement)
    if checkpoint.statement is None:
        return Check("statement", OPEN, f"{name} names no statement; one made by `reel provenance` does")
    if checkpoint.statement != digest:
        return Check(
            "statement",
            BAD,
            f"{name} names statement {_short(checkpoint.statement)}, "
            f"and {statement.name} is {_short(digest)}: it was swapped or changed",
        )
    return Check("statement", GOOD, f"{name} names {statement.name} by its hash")


def _contents(checkpoint: Checkpoint, said: Mapping[str, Any], store: Store) -> Check:
    """Compare the file as its stage wrote it, so without the statement's name, with the statement's subjects."""
    name, digest = checkpoint.path.name, checkpoint.digest(None)
    subjects = {entry["name"]: entry["digest"] for entry in said["subject"]}
    matching = [subject for subject, digests in subjects.items() if f"sha256:{digests['sha256']}" == digest]
    # A header that says the same in other bytes is none that was released.
    if matching and file_hash(checkpoint.path) == checkpoint.digest(checkpoint.statement):
        return Check("contents", GOOD, f"{name} is {matching[0]} of the statement, byte for byte")
    if name not in subjects:
        return Check(
            "contents",
            BAD,
            f"{name} ({_short(digest)}) is none of the statement's subjects: {', '.join(sorted(subjects))}",
        )
    tensors = subjects[name].get("tensorsSha256")
    if tensors and f"sha256:{tensors}" == checkpoint.tensors_digest():
        return Check("contents", BAD, f"{name} is not the statement's file: its header differs, its numbers do not")
    return Check("contents", BAD, f"{name} is not the statement's file: {_changed_part(checkpoint, said, store)}")


def _changed_part(checkpoint: Checkpoint, said: Mapping[str, Any], store: Store) -> str:
    """Say which tensors differ where the store still has the statement's own file."""
    for stage in _stages(said):
        held = store.with_hash(f"sha256:{stage['narSha256']}") if checkpoint.path.name in stage["files"] else None
        original = store.file(held.path) / checkpoint.path.name if held else None
        if original and original.is_file():
            from reelgraph.audit.tensors import compare_tensors

            try:
                return compare_tensors(original, checkpoint.path).numbers
            except ValueError:
                return "its tensors cannot be read"
    return "its numbers differ"


def _chain(said: Mapping[str, Any]) -> Iterator[Check]:
    """Follow every hash: each input is made by a stage or a dependency, each package and code a dependency."""
    definition = said["predicate"]["buildDefinition"]
    stages, environments = _stages(said), definition["internalParameters"]["environments"]
    dependencies = definition["resolvedDependencies"]
    known = {digest for entry in dependencies for digest in entry["digest"].values()}
    made = {stage["content"] for stage in stages} | {digest for stage in stages for digest in stage["files"].values()}
    lacking = [
        f"{stage['name']}: its input '{label}' ({digest[:12]}) is made by no stage and is no dependency"
        for stage in stages
        for label, digests in stage["inputs"].items()
        for digest in digests
        if digest not in made | known
    ]
    lacking += [
        f"{stage['name']}: its code ({stage['code'][:12]}) is no dependency"
        for stage in stages
        if stage["code"] not in known
    ]
    yield _verdict(
        "chain", lacking, f"every input of {counted(len(stages), 'stage')} is made by a stage or is a dependency"
    )
    listed = {entry.get("uri") for entry in dependencies if entry["annotations"]["role"] == "package"}
    lacking = [
        f"package {uri.removeprefix('pkg:pypi/')} of environment {name} is no dependency"
        for name, uris in sorted(environments.items())
        for uri in uris
        if uri not in listed
    ]
    lacking += [
        f"{stage['name']}: its environment {stage['environment']} is not listed"
        for stage in stages
        if stage["environment"] not in environments
    ]
    yield _verdict(
        "packages",
        lacking,
        f"every package of {counted(len(environments), 'environment')} is a dependency with its hash",
    )
    files = {digest for stage in stages for digest in stage["files"].values()}
    lacking = [
        f"{entry['name']} is the output of no stage of the statement"
        for entry in said["subject"]
        if entry["digest"].get("sha256") not in files
    ]
    yield _verdict("subjects", lacking, f"{counted(len(said['subject']), 'subject')} made by a stage of the statement")


def _origin(checkpoint: Checkpoint, said: Mapping[str, Any]) -> Check:
    """Hold the hashes in the checkpoint's own metadata against the statement."""
    stages = _stages(said)
    definition = said["predicate"]["buildDefinition"]
    known = {stage["content"] for stage in stages} | {
        entry["digest"].get("sha256") for entry in definition["resolvedDependencies"]
    }
    claims = {
        name: value
        for name, value in checkpoint.metadata.items()
        if name in ("reelgraph.base_model_hash", "reelgraph.plan_hash")
    }
    if not claims:
        return Check("origin", OPEN, f"{checkpoint.path.name}: its metadata names neither base model nor plan")
    wrong = [
        f"{name.removeprefix('reelgraph.')} {_short(value)} of the checkpoint's metadata is not in the statement"
        for name, value in sorted(claims.items())
        if value.removeprefix("sha256:") not in known
    ]
    return _verdict("origin", wrong, "base model and plan of the checkpoint's metadata are those of the statement")


def _in_store(said: Mapping[str, Any], store: Store) -> Iterator[Check]:
    """Look for each stage's output by its contents, since names may be left out of a statement, and read its files."""
    stages = _stages(said)
    held = {stage["name"]: store.with_hash(f"sha256:{stage['narSha256']}") for stage in stages}
    present = [stage for stage in stages if held[stage["name"]] is not None]
    wrong = [
        f"{stage['name']}: the store's {path.path} was changed after it was built"
        for stage in present
        if (path := held[stage["name"]]) and not _holds(store.file(path.path), stage["files"])
    ]
    missing = [stage["name"] for stage in stages if held[stage["name"]] is None]
    if not present:
        yield Check("store", OPEN, "none of the statement's stages is in this store")
    else:
        absent = f"; not there: {some(missing, 3)}" if missing else ""
        yield _verdict(
            "store",
            wrong,
            f"{len(present)} of {counted(len(stages), 'stage')} in this store with the same contents{absent}",
        )


def _holds(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether a folder's files, read now, have these hashes."""
    return sorted(tree_files(folder).values()) == sorted(f"sha256:{digest}" for digest in files.values())


def _signature(statement: Path, key: Path | None) -> Check:
    signature = find_signature(statement)
    if signature is None:
        outcome = BAD if key else OPEN
        return Check("signature", outcome, f"{statement.name} is not signed")
    if key is None:
        return Check(
            "signature", OPEN, f"{signature.name} is there; to check it, name the signer's public key with --key"
        )
    try:
        return Check("signature", GOOD, f"{statement.name} is signed by {check_signature(statement, signature, key)}")
    except StageError as error:
        if error.status != 1:
            raise
        return Check("signature", BAD, str(error))


def _stages(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return said["predicate"]["buildDefinition"]["internalParameters"]["stages"]


def _verdict(name: str, wrong: list[str], sentence: str) -> Check:
    return (
        Check(name, BAD, "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
        if wrong
        else Check(name, GOOD, sentence)
    )


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]
