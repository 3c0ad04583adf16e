"""A small Nix store made for a test: a database, derivations, outputs and logs as Nix leaves them, and stages in it.

Nix itself has no part in it; that Nix makes the same is what the system tests show.
"""

from __future__ import annotations

import bz2
import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from reelgraph.files import content_hash, tree_files, write_json
from reelgraph.graph.derivation import Derivation, Output, base32, placeholder
from reelgraph.graph.store import Store

SCHEMA = """
pragma synchronous = off;
create table ValidPaths (id integer primary key autoincrement not null, path text unique not null, hash text not null,
  registrationTime integer not null, deriver text, narSize integer, ultimate integer, sigs text, ca text);
create table Refs (referrer integer not null, reference integer not null, primary key (referrer, reference));
create table Realisations (id integer primary key autoincrement not null, drvPath text not null,
  outputName text not null, outputPath integer not null, signatures text);
"""
OUTPUT_PLACEHOLDER = "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"


@dataclass
class MadeStage:
    """What a test says of a stage: its inputs are names of other stages, or texts of files."""

    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    code: Mapping[str, str | bytes] = field(default_factory=lambda: {"reelgraph/stages/it.py": "run = 1\n"})
    packages: Sequence[str] = ("click-8.5.1",)
    features: Sequence[str] = ()
    kind: str = "thing"
    works: Mapping[str, Sequence[str]] = field(default_factory=dict)


class MadeStore:
    """A store below a folder, and a checkout whose evaluation gives the stages that a test put there."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock, self.stages = root, 0, {}
        (root / "nix/var/nix/db").mkdir(parents=True)
        (root / "nix/store").mkdir(parents=True)
        self._database = sqlite3.connect(root / "nix/var/nix/db/db.sqlite")
        self._database.executescript(SCHEMA)
        self.checkout = SimpleNamespace(
            root=root,
            evaluate=self._evaluate,
            nix=self._nix,
            nix_version=(2, 8, 0),
            flake_at=lambda revision: f"at-{revision}",
            git=lambda command, *arguments: "" if command == "status" else "c0ffee" * 6 + "c0ff",
        )
        self.machines = ""
        self.revisions: dict[str, dict[str, MadeStage]] = {}

    @property
    def store(self) -> Store:
        """The store as reelgraph reads it."""
        return Store(self.root)

    def put(self, *stages: MadeStage) -> None:
        """Add stages, or replace those of the same name."""
        self.stages |= {stage.name: stage for stage in stages}

    def build(self, name: str, contents: Mapping[str, str | bytes], seconds: float | None = None) -> str:
        """Note a stage as built with these files as its output; return the output's path."""
        described = self._described(self.stages)
        derivation = self._resolved(name, described)
        title = derivation.attributes["name"]
        drv = self._add_text(derivation.path(title), derivation.text())
        output = self.add_folder(title, {**contents})
        record = {"stage": name.split("/")[1], "parameters": dict(self.stages[name].parameters)}
        record["inputs"] = self._hashes(derivation.attributes["inputs"])
        write_json(self.file(output) / "stage.json", {**record, "files": tree_files(self.file(output))})
        identity, _, out = derivation.realisation().rpartition("!")
        (number,) = self._database.execute("select id from ValidPaths where path = ?", [output]).fetchone()
        self._database.execute(
            "insert into Realisations (drvPath, outputName, outputPath) values (?, ?, ?)", [identity, out, number]
        )
        self._database.commit()
        if seconds is not None:
            base = drv.removeprefix("/nix/store/")
            log = self.root / "nix/var/log/nix/drvs" / base[:2] / f"{base[2:]}.bz2"
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(bz2.compress(f"{name}: done in {seconds} s\n".encode()))
        return output

    def collect(self, name: str) -> None:
        """Forget a stage's output, as collecting garbage does; its derivation and its log stay."""
        identity = self._resolved(name, self._described(self.stages)).realisation().rpartition("!")[0]
        rows = self._database.execute("select outputPath from Realisations where drvPath = ?", [identity]).fetchall()
        self._database.execute("delete from Realisations where drvPath = ?", [identity])
        self._database.executemany("delete from ValidPaths where id = ?", rows)
        self._database.commit()

    def file(self, path: str) -> Path:
        """Return where a store path lies."""
        return self.root / path.lstrip("/")

    def _hashes(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: self._hashes(entry) for key, entry in value.items()}
        return content_hash(self.file(value))

    def add_folder(self, name: str, files: Mapping[str, str | bytes]) -> str:
        """Add a folder under the path that its contents give."""
        digest = hashlib.sha256(repr([name, sorted(files.items())]).encode())
        path = f"/nix/store/{base32(digest.digest()[:20])}-{name}"
        for file, text in files.items():
            target = self.file(path) / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text.encode() if isinstance(text, str) else text)
        self.file(path).mkdir(exist_ok=True)
        self._register(path, digest.hexdigest(), sum(map(len, files.values())))
        return path

    def add_file(self, name: str, text: str) -> str:
        """Add a file under the path that its contents give."""
        digest = hashlib.sha256(f"{name}\0{text}".encode())
        return self._add_text(f"/nix/store/{base32(digest.digest()[:20])}-{name}", text)

    def _add_text(self, path: str, text: str) -> str:
        self.file(path).write_text(text)
        self._register(path, hashlib.sha256(text.encode()).hexdigest(), len(text))
        return path

    def _register(self, path: str, digest: str, size: int) -> None:
        self.clock += 1
        self._database.execute(
            "insert into ValidPaths (path, hash, registrationTime, narSize) values (?, ?, ?, ?)"
            " on conflict (path) do update set registrationTime = excluded.registrationTime",
            [path, f"sha256:{digest}", self.clock, size],
        )
        self._database.commit()

    def _described(self, stages: Mapping[str, MadeStage]) -> dict[str, dict[str, Any]]:
        described: dict[str, dict[str, Any]] = {}
        for stage in stages.values():
            described[stage.name] = self._describe(stage, described)
        return described

    def _describe(self, stage: MadeStage, described: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        title, environment = f"reel-{stage.name.replace('/', '-')}", self._environment(stage.packages)
        context: dict[str, Any] = {environment[0]: {"outputs": ["out"]}}

        def resolve(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {key: resolve(entry) for key, entry in value.items()}
            if value in described:
                context[described[value]["drv"]] = {"outputs": ["out"]}
                return placeholder(described[value]["drv"], "out")
            path = self.add_file("file.json", value)
            context[path] = {"path": True}
            return path

        code = self.add_folder(f"reel-{stage.name.split('/')[1]}-code", stage.code)
        context[code] = {"path": True}
        attributes = {
            "builder": f"{environment[1]}/bin/python3.11",
            "inputs": {name: resolve(value) for name, value in stage.inputs.items()},
            "name": title,
            "parameters": dict(stage.parameters),
            "requiredSystemFeatures": list(stage.features),
            "system": "x86_64-linux",
        }
        start = f"import sys; sys.path.insert(0, '{code}'); from reelgraph.stages.it import STAGE; STAGE.main()"
        drawn = {"attributes": json.dumps(attributes), "arguments": ["-c", start, "--derivation"], "context": context}
        derivation = _derivation(drawn)
        return {
            **drawn,
            "set": stage.name.split("/")[0],
            "stage": stage.name.split("/")[1],
            "kind": stage.kind,
            "environment": "made",
            "edges": dict(stage.inputs),
            "works": [],
            "input_works": dict(stage.works),
            "drv": derivation.path(title),
            "system": attributes["system"],
            "builder": attributes["builder"],
            "features": attributes["requiredSystemFeatures"],
            "call": stage.name,
        }

    def _environment(self, packages: Sequence[str]) -> tuple[str, str]:
        files = {f"lib/python3.11/site-packages/{package}.dist-info/METADATA": package for package in packages}
        output = self.add_folder("reel-python-made", {"bin/python3.11": "", **files})
        inputs = {self._wheel(package): ("out",) for package in packages}
        environment = Derivation(
            {"out": Output(output, "", "")}, inputs, (), "x86_64-linux", "/bin/sh", (), {"out": output}
        )
        return self.add_file("reel-python-made.drv", environment.text()), output

    def _wheel(self, package: str) -> str:
        digest = hashlib.sha256(package.encode()).hexdigest()
        output = Output(f"/nix/store/{'0' * 32}-{package}.whl", "sha256", digest)
        return self.add_file(f"{package}.whl.drv", Derivation({"out": output}, {}, (), "s", "/bin/sh", (), {}).text())

    def _resolved(self, name: str, described: Mapping[str, Mapping[str, Any]]) -> Derivation:
        derivation = _derivation(described[name])
        paths: dict[tuple[str, str], str] = {}
        for other, stage in described.items():
            if stage["drv"] in derivation.input_derivations:
                identity = self._resolved(other, described).realisation()
                paths[stage["drv"], "out"] = self.store.realisations[identity].path
        return derivation.resolve(paths)

    def _evaluate(self, installable: str, function: str, *options: str) -> Any:
        flake = installable.partition("#")[0]
        stages = self.revisions.get(flake, self.stages)
        described = self._described(stages)
        if "--read-only" not in options:
            return []
        calls = {name: {"arguments": stage["arguments"], "context": {}} for name, stage in described.items()}
        return {"ends": [list(stages)[-1]], "stages": described, "calls": calls}

    def _nix(self, *arguments: str) -> SimpleNamespace:
        settings = {
            "system": "x86_64-linux",
            "extra-platforms": [],
            "system-features": ["kvm"],
            "max-jobs": 1,
            "builders": self.machines,
        }
        text = json.dumps({name: {"value": value} for name, value in settings.items()})
        return SimpleNamespace(returncode=0, stdout=text, stderr="")


def _derivation(described: Mapping[str, Any]) -> Derivation:
    attributes, context = json.loads(described["attributes"]), described["context"]
    return Derivation(
        outputs={"out": Output("", "r:sha256", "")},
        input_derivations={path: tuple(use["outputs"]) for path, use in context.items() if "outputs" in use},
        sources=tuple(sorted(path for path, use in context.items() if use.get("path"))),
        system=attributes["system"],
        builder=attributes["builder"],
        arguments=tuple(described["arguments"]),
        environment={"__json": described["attributes"], "out": OUTPUT_PLACEHOLDER},
    )
