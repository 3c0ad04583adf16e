"""A store in which every stage of a graph counts as built: what Nix leaves there, but for the outputs."""

from __future__ import annotations

import bz2
import json
import shutil
import sqlite3
import subprocess
from hashlib import sha256
from pathlib import Path

from reelgraph.graph.derivation import base32
from reelgraph.graph.durations import TRAINING_PLANS
from reelgraph.graph.evaluate import Graph, Stage

DATABASE = "/nix/var/nix/db/db.sqlite"
ONE_SEGMENT = {"segments": [{"first": 1, "last": 10}]}


def note_as_built(graph: Graph, root: Path) -> None:
    """Add the builds of all of a graph's stages to the store below ``root``; outputs are made up and mostly empty."""
    database = _open(root)
    outputs: dict[str, str] = {}
    for number, (name, stage) in enumerate(graph.stages.items()):
        title = stage.attributes["name"]
        known = {(drv, "out"): outputs[other] for drv, other in stage.upstream_drvs.items()}
        built = stage.derivation.resolve(known)
        digest = sha256(built.text().encode())
        output = outputs[name] = f"/nix/store/{base32(digest.digest()[:20])}-{title}"
        drv = built.path(title)
        _file(root, drv).write_text(built.text())
        log = root / "nix/var/log/nix/drvs" / drv[11:13] / f"{drv[13:]}.bz2"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(bz2.compress(f"{stage.stage}: done in {number % 50}.5 s\n".encode()))
        _register(database, drv, number, digest.hexdigest())
        row = _register(database, output, number, digest.hexdigest())
        identity, _, out = built.realisation().rpartition("!")
        database.execute(
            "insert into Realisations (drvPath, outputName, outputPath) values (?, ?, ?)", [identity, out, row]
        )
        _put_what_runs(stage, root)
        if stage.stage in TRAINING_PLANS:
            _file(root, output).mkdir()
            (_file(root, output) / "plan.json").write_text(json.dumps(ONE_SEGMENT))
    database.commit()
    database.close()


def _open(root: Path) -> sqlite3.Connection:
    """Return the database of a store that Nix itself makes."""
    features = ["--option", "extra-experimental-features", "ca-derivations"]
    subprocess.run(["nix-store", "--store", root, *features, "--init"], check=True)
    database = sqlite3.connect(f"{root}{DATABASE}")
    database.execute("pragma synchronous = off")
    return database


def _file(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _register(database: sqlite3.Connection, path: str, time: int, digest: str) -> int | None:
    return database.execute(
        "insert into ValidPaths (path, hash, registrationTime, narSize) values (?, ?, ?, 1000)",
        [path, f"sha256:{digest}", time],
    ).lastrowid


def _put_what_runs(stage: Stage, root: Path) -> None:
    """A plan looks into the code of earlier builds, and whether their Python is there."""
    if Path(stage.code).is_dir() and not _file(root, stage.code).exists():
        shutil.copytree(stage.code, _file(root, stage.code))
    python = _file(root, stage.derivation.builder)
    python.parent.mkdir(parents=True, exist_ok=True)
    python.touch()
