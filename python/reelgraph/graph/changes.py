"""Why a stage is built again: what differs between its derivation and the one that was built last."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from reelgraph.graph.derivation import PLACEHOLDER, Derivation, derivation_name, read_derivation
from reelgraph.graph.evaluate import code_path, flat_inputs
from reelgraph.graph.store import Store

_WHEEL = re.compile(r"^reel-(?P<name>.+?)-(?P<version>\d[^-]*)(?:-.*)?$")
_DISTRIBUTION = re.compile(r"^(?P<name>.+)-(?P<version>[^-]+)\.dist-info$")
_MOST_FILES = 4
# An environment's store path, and the derivation that makes it where a stage names that.
Environment = tuple[str, str | None]


@dataclass(frozen=True)
class Change:
    """One difference. ``kind`` is code, package, parameter, input, model, features, toolchain, derivation, stage or
    output.

    ``name`` is the file, package, parameter or input; ``was`` and ``now`` are what it is, None where it is not there.
    ``is_silent`` says that it cannot change what comes out, such as a comment.
    """

    kind: str
    name: str
    was: Any = None
    now: Any = None
    is_silent: bool = False

    @property
    def sentence(self) -> str:
        """The difference in words."""
        if self.kind == "code" and self.is_silent:
            return f"code {self.name}: only comments or layout differ"
        if self.kind in ("input", "model") and self.was is not None and self.now is not None:
            return f"{self.kind} {self.name} differs" + (
                f" ({self.now})" if isinstance(self.now, str) and self.now else ""
            )
        if self.kind == "derivation":
            return "nothing of it changed, but another version of Nix writes its derivation in other words"
        if self.kind == "code" and None in (self.was, self.now):
            return f"code {self.name} is {'new' if self.was is None else 'gone'}"
        if self.was is None:
            return f"{self.kind} {self.name} is new" + ("" if self.now in (None, "") else f": {_short(self.now)}")
        if self.now is None:
            return f"{self.kind} {self.name} is gone"
        if self.was == self.now:
            return f"{self.kind} {self.name} differs"
        return f"{self.kind} {self.name}: {_short(self.was)} -> {_short(self.now)}"


def own_changes(now: Derivation, was: Derivation, store: Store) -> list[Change]:
    """Return what differs but for inputs: code, packages, parameters, features."""
    before, after = was.attributes, now.attributes
    changes = [
        *code_changes(store, code_path(was), code_path(now)),
        *package_changes(store, was, now),
        *parameter_changes(before.get("parameters", {}), after.get("parameters", {})),
    ]
    features = [sorted(attributes.get("requiredSystemFeatures", [])) for attributes in (before, after)]
    if features[0] != features[1]:
        changes.append(
            Change("features", "of its builder", ", ".join(features[0]) or "none", ", ".join(features[1]) or "none")
        )
    return changes


def input_changes(now: Derivation, was: Derivation, origins: Mapping[str, str | None], store: Store) -> list[Change]:
    """Return the inputs that differ, by label; ``origins`` names the stage that each comes from, None for a file.

    Inputs whose path is not known yet are left out.
    """
    before, after = flat_inputs(was.attributes["inputs"]), flat_inputs(now.attributes["inputs"])
    changes = []
    for label in sorted({*before, *after}):
        old, new = before.get(label), after.get(label)
        if old == new or (new is not None and not new.startswith("/nix/store/")):
            continue
        if new is None:
            changes.append(Change("input", label, file_name(old), None))
            continue
        origin = origins.get(label) or file_name(new)
        kind = "model" if label == "model" and not origins.get(label) else "input"
        if old is None:
            changes.append(Change(kind, label, None, origin))
        else:
            files = changed_files(store.file(old), store.file(new))
            detail = f": {', '.join(files[:_MOST_FILES])}{' …' if len(files) > _MOST_FILES else ''}" if files else ""
            changes.append(Change(kind, label, file_name(old), f"{origin}{detail}"))
    return changes


@lru_cache
def code_changes(store: Store, was: str, now: str) -> tuple[Change, ...]:
    """Return the files of a stage's code that differ, or the code as a whole if it is not in the store.

    A thousand episodes' stages have one code; it is looked into once.
    """
    if was == now:
        return ()
    folders = [store.file(path) for path in (was, now)]
    if not all(path and folder.is_dir() for path, folder in zip((was, now), folders, strict=True)):
        return (Change("code", "of the stage", was, was),)
    contents = [
        {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in folders
    ]
    changes = []
    for file in sorted({*contents[0], *contents[1]}):
        old, new = contents[0].get(file), contents[1].get(file)
        if old != new:
            same = old is not None and new is not None and same_program(file, old, new)
            changes.append(Change("code", file, old and "there", new and "there", is_silent=same))
    others = Change("code", "of the stage: only names or permissions of files", "there", "there", is_silent=True)
    return tuple(changes) or (others,)


def same_program(file: str, old: bytes, new: bytes) -> bool:
    """Whether two contents of a file mean the same to Python or as JSON: comments, docstrings and layout aside."""
    try:
        if file.endswith(".json"):
            return json.loads(old) == json.loads(new)
        return file.endswith(".py") and ast.dump(_without_docstrings(old)) == ast.dump(_without_docstrings(new))
    except (SyntaxError, ValueError):
        return False


def _without_docstrings(program: bytes) -> ast.Module:
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:]
    return tree


def package_changes(store: Store, was: Derivation, now: Derivation) -> tuple[Change, ...]:
    """Return the packages that differ between the environments of two stages' derivations."""
    if was.builder == now.builder:
        return ()
    return _environment_changes(store, _environment(was), _environment(now))


@lru_cache
def _environment_changes(store: Store, was: Environment, now: Environment) -> tuple[Change, ...]:
    before, after = environment_packages(store, was), environment_packages(store, now)
    if before is None or after is None:
        return (Change("package", "of the environment", file_name(was[0]), file_name(was[0])),)
    names = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    changes = tuple(Change("package", name, before.get(name), after.get(name)) for name in names)
    return changes or (Change("toolchain", "CPython, C runtime or the way packages are unpacked", "", ""),)


def _environment(derivation: Derivation) -> Environment:
    folder = Path(derivation.builder).parents[1].as_posix()
    made_by = (path for path in derivation.input_derivations if derivation_name(path) == file_name(folder))
    return folder, next(made_by, None)


def environment_packages(store: Store, environment: Environment) -> dict[str, str] | None:
    """Return the versions of the packages of an environment by name, or None if that cannot be known."""
    folder, made_by = environment
    installed = store.file(folder) / "lib/python3.11/site-packages"
    if installed.is_dir():
        found = filter(None, (_DISTRIBUTION.match(entry.name) for entry in installed.iterdir()))
        return {canonical(match["name"]): match["version"] for match in found}
    if made_by is not None and store.file(made_by).is_file():
        wheels = read_derivation(store.file(made_by)).environment.get("packages", "").split()
        found = filter(None, (_WHEEL.match(file_name(wheel)) for wheel in wheels))
        return {canonical(match["name"]): match["version"] for match in found}
    return None


def parameter_changes(was: Any, now: Any, name: str = "") -> Iterator[Change]:
    """Yield the parameters that differ, by dotted name."""
    if was == now:
        return
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in sorted({*was, *now}):
            yield from parameter_changes(was.get(key, _ABSENT), now.get(key, _ABSENT), f"{name}.{key}" if name else key)
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (old, new) in enumerate(zip(was, now, strict=True)):
            yield from parameter_changes(old, new, f"{name}[{index}]")
    else:
        yield Change(
            "parameter", name, None if was is _ABSENT else json.dumps(was), None if now is _ABSENT else json.dumps(now)
        )


_ABSENT = object()


def changed_files(was: Path, now: Path) -> list[str]:
    """Return the names of the files that differ between two outputs, as they record them; [] without records."""
    records = [path / "stage.json" for path in (was, now)]
    if not all(record.is_file() for record in records):
        return []
    before, after = (json.loads(record.read_text())["files"] for record in records)
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def file_name(path: str) -> str:
    """Return the name of a store path without its hash, with what stands behind it."""
    return path.removeprefix("/nix/store/").partition("-")[2] or path


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def matches_own_part(derivation: Derivation, built: Derivation, unknown: Set[str]) -> bool:
    """Whether ``built`` is what ``derivation`` becomes for some contents of the inputs labelled ``unknown``.

    What is compared is the text: 3 and 3.0 are one number and two derivations.
    """
    if (derivation.builder, derivation.arguments) != (built.builder, built.arguments):
        return False
    inputs, earlier = (flat_inputs(either.attributes["inputs"]) for either in (derivation, built))
    if inputs.keys() != earlier.keys():
        return False
    paths = dict(_as_built(inputs[label], earlier[label]) for label in unknown)
    text = PLACEHOLDER.sub(lambda mark: paths.get(mark.group(), mark.group()), derivation.environment["__json"])
    return text == built.environment["__json"]


def _as_built(path: str, built: str) -> tuple[str, str]:
    """Return what stands for an output in ``path``, and which output that is in ``built``."""
    mark = PLACEHOLDER.match(path)
    return (mark.group(), built.removesuffix(path[mark.end() :])) if mark else (path, built)


def nearness(derivation: Derivation, built: Derivation) -> int:
    """Return how much of a stage's derivation an earlier build shares: environment, code, parameters, each input."""
    now, was = derivation.attributes, built.attributes
    inputs, earlier = flat_inputs(now["inputs"]), flat_inputs(was.get("inputs", {}))
    shared = sum(earlier.get(label) == path for label, path in inputs.items())
    same = (derivation.builder == built.builder, code_path(derivation) == code_path(built))
    return shared + sum(same) + (now.get("parameters") == was.get("parameters"))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
