"""What changed in a stage: since its last build, since a git revision, or since a finished result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json
from reelgraph.graph.changes import Change, input_changes, nearness, own_changes, parameter_changes
from reelgraph.graph.derivation import Derivation
from reelgraph.graph.evaluate import Checkout, Graph, load_graph, write_sources
from reelgraph.graph.state import StageState, State
from reelgraph.graph.store import Store


def explainer(
    checkout: Checkout, graph: Graph, states: Mapping[str, StageState], store: Store, against: str | None
) -> Callable[[StageState], list[Change]]:
    """Return the function that says what changed in a stage."""
    if against is None:
        pending = [state for state in states.values() if state.last is not None]
        if pending:
            _write_sources(checkout, graph, [state.stage.name for state in pending], store)
        return lambda state: _since_build(state, state.last, store) if state.last is not None else []
    if Path(against).exists():
        records = _read_result(Path(against), graph)
        # Without an earlier build in this store there is no code to compare with.
        _write_sources(checkout, graph, [name for name in records if name in graph.stages], store)
        return lambda state: _since_result(state, records, store)
    earlier = load_graph(checkout, graph.target, checkout.flake_at(against))
    changed = [
        name for name, stage in graph.stages.items() if name in earlier.stages and earlier.stages[name].drv != stage.drv
    ]
    _write_sources(checkout, graph, changed, store)
    _write_sources(checkout, earlier, changed, store)
    return lambda state: _since_revision(state, earlier, store)


def _since_build(state: StageState, was: Derivation, store: Store) -> list[Change]:
    # The derivation as evaluated names its environment's, which may not be built.
    own = own_changes(state.stage.derivation, was, store)
    changes = [*own, *input_changes(state.derivation, was, state.stage.input_stages, store)]
    if not changes and state.state == State.TO_BUILD:
        return [Change("derivation", "as this version of Nix writes it", is_silent=True)]
    return changes


def _since_revision(state: StageState, earlier: Graph, store: Store) -> list[Change]:
    was = earlier.stages.get(state.stage.name)
    if was is None:
        return [Change("stage", state.stage.name, None, "not there at that revision")]
    if was.drv == state.stage.drv:
        return []
    files = {label: origin for label, origin in state.stage.input_stages.items() if origin is None}
    inputs = [
        change for change in input_changes(state.stage.derivation, was.derivation, files, store) if change.name in files
    ]
    return [*own_changes(state.stage.derivation, was.derivation, store), *inputs]


def _since_result(state: StageState, records: Mapping[str, Mapping[str, Any]], store: Store) -> list[Change]:
    record = records.get(state.stage.name)
    if record is None:
        return [Change("stage", state.stage.name, None, "not in that result")]
    was = _as_built(state, record, store)
    if was is not None:
        return _since_build(state, was, store)
    changes = list(parameter_changes(record["parameters"], state.stage.parameters))
    if state.output is not None and content_hash(store.file(state.output.path)) != record["content"]:
        changes.append(Change("output", "contents", record["content"], content_hash(store.file(state.output.path))))
    return changes


def _as_built(state: StageState, record: Mapping[str, Any], store: Store) -> Derivation | None:
    """Return the build in this store with a record's parameters and content; of several that most like the present."""
    found = [
        derivation
        for derivation in store.built(state.stage.build_name)
        if derivation.attributes["parameters"] == record["parameters"]
        and content_hash(store.file(store.realisations[derivation.realisation()].path)) == record["content"]
    ]
    return max(found, key=lambda derivation: nearness(state.derivation, derivation), default=None)


def _read_result(path: Path, graph: Graph) -> dict[str, dict[str, Any]]:
    """Return the record of each stage of a result by name, that of the result itself among them."""
    file = path / "provenance.json" if path.is_dir() else path
    if not file.is_file():
        raise StageError(f"{path}: is neither a git revision nor a result with provenance.json", status=2)
    records = {stage["name"]: stage for stage in read_json(file)["stages"]}
    if (path / "stage.json").is_file():
        own = {**read_json(path / "stage.json"), "content": content_hash(path)}
        records |= {name: own for name in graph.ends if graph.stages[name].stage == own["stage"]}
    return records


def _write_sources(checkout: Checkout, graph: Graph, names: Iterable[str], store: Store) -> None:
    """Have Nix write the code and the environments' derivations of stages into the store, to be looked into."""
    wanted = {(graph.stages[name].code, graph.stages[name].derivation.builder): name for name in names}
    missing = [
        name
        for (code, builder), name in wanted.items()
        if not store.file(code).exists() or not store.file(builder).exists()
    ]
    if missing:
        write_sources(checkout, graph, missing)
