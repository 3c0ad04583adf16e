"""Everything that went into a checkpoint, gathered from the graph and the store: stages, environments, files, code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import content_hash
from reelgraph.graph.changes import canonical, file_name
from reelgraph.graph.derivation import derivation_name, read_derivation
from reelgraph.graph.evaluate import Checkout, Graph, flat_inputs, load_graph, write_derivations
from reelgraph.graph.state import StageState, State, find_states
from reelgraph.graph.store import Store
from reelgraph.graph.words import agree, some
from reelgraph.report.provenance import Record, read_record

CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class Fetched:
    """A file that was fetched by its hash: a wheel, a source distribution, a model's weights, a master."""

    name: str
    version: str
    file: str
    digest: str
    path: str

    @property
    def uri(self) -> str:
        """The package URL where the name is a package's, else the store path."""
        return f"pkg:pypi/{canonical(self.name)}@{self.version}" if self.version else f"nix:{self.path}"


@dataclass
class Materials:
    """A checkpoint's stage and all behind it, with their records; environments' files and others by name; code."""

    graph: Graph
    states: Mapping[str, StageState]
    records: Mapping[str, Record]
    checkpoint: str
    store: Store
    environments: dict[str, list[Fetched]] = field(default_factory=dict)
    fetched: dict[str, Fetched] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    toolchain: dict[str, str] = field(default_factory=dict)
    revision: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the checkpoint's stage put its files."""
        output = self.states[self.checkpoint].output
        assert output is not None
        return self.store.file(output.path)


def collect(checkout: Checkout, target: str, store: Store) -> Materials:
    """Gather what a target's checkpoint was made from; raise a StageError if it has none or is not built."""
    graph = load_graph(checkout, target)
    ends = [name for name, stage in graph.stages.items() if stage.kind == CHECKPOINT]
    if len(ends) != 1:
        raise StageError(
            f"{target}: must have one checkpoint, and has {some(ends, 3) or 'none'}; name one like smoke.checkpoint",
            status=2,
        )
    states = find_states(graph, store)
    behind = _behind(graph, ends[0])
    missing = [name for name in behind if states[name].state != State.BUILT]
    if missing:
        names = f"{some(missing, 3)} {agree(len(missing), 'is')}"
        raise StageError(f"{target}: {names} not built; run: ./nixw build .#{target}", status=3)
    states = {name: states[name] for name in behind}
    outputs = {name: state.output.path for name, state in states.items() if state.output}
    records = {name: read_record(name, store.file(path)) for name, path in outputs.items()}
    materials = Materials(graph, states, records, ends[0], store, revision=_revision(checkout))
    # The environments' derivations name the wheels; evaluation alone does not write them.
    write_derivations(checkout, graph, ends)
    for name in behind:
        _collect_stage(materials, name)
    return materials


def _behind(graph: Graph, name: str) -> list[str]:
    reached, pending = {name}, [name]
    while pending:
        for needed in graph.needs[pending.pop()]:
            if needed not in reached:
                reached.add(needed)
                pending.append(needed)
    return [other for other in graph.stages if other in reached]


def _collect_stage(materials: Materials, name: str) -> None:
    stage, store = materials.graph.stages[name], materials.store
    materials.code[name] = content_hash(store.file(stage.code))
    for path in stage.derivation.input_derivations:
        if path in stage.upstream_drvs:
            continue
        files = _fetched(store, path)
        if derivation_name(path) == f"reel-python-{stage.environment}":
            if stage.environment not in materials.environments:
                materials.environments[stage.environment] = files
                materials.toolchain |= _sources(store, path)
        else:
            for file in files:
                materials.fetched[file.path] = file


def _fetched(store: Store, derivation: str) -> list[Fetched]:
    """Return the files fetched by hash that a derivation is made from, however far, but not what fetched them."""
    found: dict[str, Fetched] = {}
    seen, pending = {derivation}, [derivation]
    while pending:
        path = pending.pop()
        read = read_derivation(store.file(path))
        output = read.outputs["out"]
        if output.digest:
            file = derivation_name(path)
            name, version = _name_and_version(file)
            found[output.path] = Fetched(name, version, file, f"sha256:{output.digest}", output.path)
            continue
        new = [other for other in read.input_derivations if other not in seen]
        seen.update(new)
        pending += new
    return sorted(found.values(), key=lambda file: file.file)


def _name_and_version(file: str) -> tuple[str, str]:
    stem = file.removesuffix(".whl").removesuffix(".tar.gz")
    name, dash, version = stem.rpartition("-")
    return (name, version) if dash and file.endswith((".whl", ".tar.gz")) and version[:1].isdigit() else (file, "")


def _sources(store: Store, derivation: str) -> dict[str, str]:
    """Return the NAR hashes of the plain store paths that an environment starts from: CPython and the C runtime."""
    sources = [path for path in read_derivation(store.file(derivation)).sources if not path.endswith(".py")]
    known = {path: store.valid(path) for path in sources}
    return {path: valid.hash for path, valid in known.items() if valid}


def _revision(checkout: Checkout) -> dict[str, Any]:
    """Return the git commit, its tree, and the tracked files that are not as it has them."""
    try:
        commit, tree = checkout.git("rev-parse", "HEAD"), checkout.git("rev-parse", "HEAD^{tree}")
        changed = checkout.git("status", "--porcelain", "--untracked-files=no").splitlines()
    except StageError:
        return {}
    return {"commit": commit, "tree": tree, "changed": sorted(line[3:] for line in changed)}


def files_read(materials: Materials) -> dict[str, dict[str, Any]]:
    """Return every input that no stage made, by content hash: label, store path, and the stages that read it."""
    made = {record.content for record in materials.records.values()}
    inside = {digest for record in materials.records.values() for digest in record.files.values()}
    found: dict[str, dict[str, Any]] = {}
    for name, record in materials.records.items():
        paths = flat_inputs(materials.states[name].derivation.attributes["inputs"])
        for label, digests in _labelled(record).items():
            for key, digest in digests:
                if digest in made or digest in inside:
                    continue
                path = paths.get(f"{label}.{key}" if key else label, "")
                entry = found.setdefault(digest, {"input": label, "path": path, "file": file_name(path), "stages": []})
                entry["stages"].append(name)
    return found


def _labelled(record: Record) -> dict[str, Sequence[tuple[str, str]]]:
    labelled: dict[str, Sequence[tuple[str, str]]] = {}
    for label, value in record.inputs.items():
        pairs: Iterable[tuple[str, Any]] = value.items() if isinstance(value, Mapping) else [("", value)]
        labelled[label] = [(key, digest) for key, digest in pairs if digest is not None]
    return labelled
