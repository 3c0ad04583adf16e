"""The statement: an in-toto Statement v1 with a SLSA Provenance v1 predicate, in which nothing is left to belief.

Its subjects are the checkpoint's files; its dependencies are everything from outside: masters, models, wheels, the
toolchain, each stage's code, the revision; and it lists every stage with the contents that it read and made, so that a
reader can follow the chain of hashes from one to the other. It holds no time and no machine: the same build gives the
same statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reelgraph.files import file_hash, read_json
from reelgraph.provenance.collect import Fetched, Materials, files_read
from reelgraph.provenance.stamp import read_checkpoint
from reelgraph.stage import validate

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:reelgraph:build:nix-stages:1"
BUILDER = "urn:reelgraph:builder:nix"
MASTERS = ("master", "film", "speech")


def make_statement(
    materials: Materials, with_names: bool, licences: Mapping[str, Mapping[str, str]], nix: str
) -> dict[str, Any]:
    """Return the statement of a checkpoint.

    Without names, episodes are numbered and neither their ids nor their titles are anywhere in it. ``licences`` has the
    licence and attribution of every licensed work by name, as far as known.
    """
    stages = [_stage(materials, name) for name in sorted(materials.records)]
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": subjects(materials.folder),
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "target": materials.graph.target,
                    "parameters": {name: dict(record.parameters) for name, record in sorted(materials.records.items())},
                },
                "internalParameters": {
                    "system": materials.graph.stages[materials.checkpoint].derivation.system,
                    "stages": stages,
                    "environments": {
                        name: [file.uri for file in files] for name, files in sorted(materials.environments.items())
                    },
                },
                "resolvedDependencies": _dependencies(materials, licences),
            },
            "runDetails": {
                "builder": {"id": BUILDER, "version": {"nix": nix}},
                "byproducts": [{"name": stage["name"], "digest": {"sha256": stage["content"]}} for stage in stages],
            },
        },
    }
    if not with_names:
        for entry in statement["predicate"]["buildDefinition"]["resolvedDependencies"]:
            if entry["annotations"].get("input") == "master":
                # A master's file is called as the episode is.
                entry["name"] = "master"
                entry.pop("uri", None)
        statement = _without_names(statement, _names(materials))
    validate(statement, "statement", "the statement")
    return statement


def subjects(folder: Path) -> list[dict[str, Any]]:
    """Return the checkpoint's files with the hash of the whole and, of tensors, of these alone."""
    found = []
    for file in sorted(folder.iterdir()):
        if file.name == "stage.json" or not file.is_file():
            continue
        digest = {"sha256": _hex(file_hash(file))}
        if file.suffix == ".safetensors":
            digest["tensorsSha256"] = _hex(read_checkpoint(file).tensors_digest())
        found.append({"name": file.name, "digest": digest})
    return found


def read_statement(path: Path) -> dict[str, Any]:
    """Read a statement, or raise a StageError that says what is wrong with it."""
    statement = read_json(path)
    validate(statement, "statement", path.name)
    return statement


def _stage(materials: Materials, name: str) -> dict[str, Any]:
    record, state = materials.records[name], materials.states[name]
    assert state.output is not None
    return {
        "name": name,
        "stage": record.stage,
        "content": _hex(record.content),
        "inputs": {label: [_hex(digest) for digest in digests] for label, digests in record.hashes().items()},
        "files": {file: _hex(digest) for file, digest in sorted(record.files.items())},
        "code": _hex(materials.code[name]),
        "environment": state.stage.environment,
        "narSha256": _hex(state.output.hash),
    }


def _dependencies(materials: Materials, licences: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    found = [*_read_files(materials, licences), *_wheels(materials), *_code(materials)]
    for path, digest in sorted(materials.toolchain.items()):
        found.append(
            {
                "name": "toolchain",
                "uri": f"nix:{path}",
                "digest": {"narSha256": _hex(digest)},
                "annotations": {"role": "toolchain"},
            }
        )
    if materials.revision:
        digest = {"gitCommit": materials.revision["commit"], "gitTree": materials.revision["tree"]}
        notes: dict[str, Any] = {"role": "revision"}
        if materials.revision["changed"]:
            notes["changed"] = materials.revision["changed"]
        found.append(
            {"name": "revision", "uri": f"git:{materials.revision['commit']}", "digest": digest, "annotations": notes}
        )
    return found


def _read_files(materials: Materials, licences: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    fetched_in = {path: file for path, file in materials.fetched.items()}
    found = []
    for digest, entry in sorted(files_read(materials).items(), key=lambda item: (item[1]["input"], item[0])):
        role = "master" if entry["input"] in MASTERS else "model" if entry["input"] == "model" else "material"
        notes: dict[str, Any] = {"role": role, "input": entry["input"], "readBy": sorted(entry["stages"])}
        readers = [materials.graph.stages[name] for name in entry["stages"]]
        works = sorted({work for stage in readers for work in stage.input_works.get(entry["input"], ())})
        if role != "material" and works:
            notes["licences"] = {work: dict(licences.get(work, {})) for work in works}
        found.append(
            {
                "name": entry["file"],
                "uri": f"nix:{entry['path']}",
                "digest": {"sha256": _hex(digest)},
                "annotations": notes,
            }
        )
    for file in sorted(fetched_in.values(), key=lambda file: file.file):
        if file.digest not in {f"sha256:{entry['digest']['sha256']}" for entry in found}:
            found.append(_package(file, "archive"))
    return found + _masters(materials)


def _masters(materials: Materials) -> list[dict[str, Any]]:
    """Return each episode's master as its stages read it, with the licence under which its pipeline names it."""
    known = {_hex(digest) for digest in files_read(materials)}
    found = []
    for name, record in sorted(materials.records.items()):
        licence = record.parameters.get("licence")
        for digest in record.hashes().get("master", []):
            if record.stage == "source":
                notes = {"role": "master", "input": "master", "readBy": [name], "licence": licence}
                entry = {
                    "name": f"master of {name.partition('/')[0]}",
                    "digest": {"sha256": _hex(digest)},
                    "annotations": notes,
                }
                if _hex(digest) not in known:
                    notes["madeBy"] = sorted(
                        other for other, made in materials.records.items() if digest in made.files.values()
                    )
                found.append(entry)
    return found


def _wheels(materials: Materials) -> list[dict[str, Any]]:
    files: dict[str, Fetched] = {file.path: file for files in materials.environments.values() for file in files}
    return [_package(file, "package") for file in sorted(files.values(), key=lambda file: (file.file, file.digest))]


def _package(file: Fetched, role: str) -> dict[str, Any]:
    return {"name": file.file, "uri": file.uri, "digest": {"sha256": _hex(file.digest)}, "annotations": {"role": role}}


def _code(materials: Materials) -> list[dict[str, Any]]:
    stages: dict[str, list[str]] = {}
    for name, digest in sorted(materials.code.items()):
        stages.setdefault(digest, []).append(name)
    return [
        {
            "name": f"code of {materials.records[names[0]].stage}",
            "digest": {"sha256": _hex(digest)},
            "annotations": {"role": "code", "readBy": names},
        }
        for digest, names in sorted(stages.items(), key=lambda item: item[1])
    ]


def _names(materials: Materials) -> dict[str, str]:
    """Return what stands for each episode's id and title where names are left out."""
    stand_ins: dict[str, str] = {}
    for number, episode in enumerate(sorted(materials.graph.episodes), start=1):
        title = materials.records.get(f"{episode}/source")
        if title is not None and title.parameters.get("title"):
            stand_ins[title.parameters["title"]] = f"title {number}"
        stand_ins[episode] = f"episode-{number}"
    return stand_ins


def _without_names(value: Any, stand_ins: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name in sorted(stand_ins, key=len, reverse=True):
            value = value.replace(name, stand_ins[name])
        return value
    if isinstance(value, Mapping):
        return {_without_names(key, stand_ins): _without_names(entry, stand_ins) for key, entry in value.items()}
    return [_without_names(entry, stand_ins) for entry in value] if isinstance(value, list) else value


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
