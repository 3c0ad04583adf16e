"""Model files in the Nix store: the path that each will have, which are there, and how one is added and kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.models.catalogue import LockedFile, Model

# nix/models/file.nix names the files, here and in builds alike; what would build one is no part of its path.
_PATHS = """
{ root }:
let
  file = import (/. + root + "/nix/models/file.nix") (
    attributes: derivation (removeAttrs attributes [ "file" ] // { system = "none"; builder = "none"; })
  );
  models = import (/. + root + "/nix/json-folder.nix") (/. + root + "/materials/models");
in
builtins.mapAttrs (name: model: map (entry: (file name entry).outPath) (model.files or [ ])) models
"""


def run_nix(program: str, *arguments: str) -> str:
    """Run one of Nix's programs and return what it prints; raise a StageError with its last words."""
    try:
        finished = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise StageError(f"{program} is not there; install Nix, or run this through ./nixw", status=3) from error
    if finished.returncode:
        lines = [line.removeprefix("error: ") for line in finished.stderr.splitlines() if line.strip()]
        raise StageError(f"{program}: {lines[-1] if lines else 'failed without a word'}")
    return finished.stdout


def evaluate(expression: str, **strings: str) -> object:
    """Return the JSON value of a Nix function of strings; nothing is written to the store."""
    named = [part for name, value in strings.items() for part in ("--argstr", name, value)]
    return json.loads(
        run_nix("nix-instantiate", "--eval", "--strict", "--json", "--readonly-mode", *named, "--expr", expression)
    )


def store_paths(root: Path, models: Iterable[Model]) -> dict[LockedFile, Path]:
    """Return the store path of each locked file of ``models``, whether it is there or not."""
    paths = evaluate(_PATHS, root=str(root))
    assert isinstance(paths, dict)
    return {file: Path(path) for model in models for file, path in zip(model.files, paths[model.name], strict=True)}


def missing_paths(paths: Iterable[Path]) -> set[Path]:
    """Return those of ``paths`` that the store does not have."""
    wanted = [str(path) for path in paths]
    missing: set[Path] = set()
    for start in range(0, len(wanted), 500):
        printed = run_nix("nix-store", "--check-validity", "--print-invalid", *wanted[start : start + 500])
        missing |= {Path(line) for line in printed.splitlines()}
    return missing


def add_file(file: Path, store_path: Path) -> None:
    """Copy ``file`` into the store; raise a StageError if it does not arrive at ``store_path``."""
    arrived = run_nix("nix-store", "--add-fixed", "sha256", str(file)).strip()
    if arrived != str(store_path):
        raise StageError(
            f"{file.name}: changed while it was added to the store ({arrived} instead of {store_path}); try again"
        )


def keep(store_path: Path, root: Path) -> None:
    """Keep garbage collection from ``store_path`` for as long as the link ``root`` is there."""
    root.parent.mkdir(parents=True, exist_ok=True)
    run_nix("nix-store", "--realise", str(store_path), "--add-root", str(root), "--indirect")


def store_name(store_path: Path) -> str:
    """Return a store path's name without its hash: the name under which its file must be added."""
    return store_path.name.partition("-")[2]


def roots_folder() -> Path:
    """Return where the links lie that keep models from being collected."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "reelgraph/models"


def check_space(folder: Path, needed: int, what: str) -> None:
    """Raise a StageError if the file system of ``folder`` has fewer than ``needed`` bytes left."""
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise StageError(
            f"{what} needs {needed / 1e9:.1f} GB in {folder}, which has {free / 1e9:.1f} GB left; "
            "make room and run it again"
        )
