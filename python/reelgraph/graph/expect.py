"""What will probably become of a stage that is not built: built, or cut off; and whether its output will be as before.

Nobody knows before a build what an edit changes in a stage's output. Two things tell: an edit that cannot change any
output, such as a comment; and the store, where two earlier builds show what the last such edit changed. That edit is
followed along the graph: a stage is asked about with the two outputs that its inputs had then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reelgraph.graph.changes import Change
from reelgraph.graph.derivation import Derivation
from reelgraph.graph.evaluate import flat_inputs
from reelgraph.graph.state import StageState, State
from reelgraph.graph.store import Store

BUILT, CUT_OFF, REBUILD = "", "cut-off", "rebuild"
# What differs in these was given to the stage from outside; of its own code or parameters the past says nothing.
_GIVEN = ("input", "model", "package", "toolchain")


@dataclass(frozen=True)
class Expectation:
    """What becomes of a stage: BUILT, CUT_OFF or REBUILD; whether its output will probably be as before; and the two
    outputs, newer and older, that it had when the like was last edited, None if it never was.
    """

    outcome: str
    stays: bool
    outputs: tuple[str, str] | None = None


def expect(
    state: StageState, changes: Sequence[Change], earlier: Mapping[str, Expectation], store: Store
) -> Expectation:
    """Return what to expect of a stage; ``earlier`` has the same of every stage that it waits for."""
    if state.state == State.BUILT:
        return Expectation(BUILT, stays=True)
    moving = {name: earlier[name] for name in state.waits_for if not earlier[name].stays}
    if state.state == State.UNKNOWN and not moving:
        return Expectation(CUT_OFF, stays=True)
    if not moving and changes and all(change.is_silent for change in changes):
        return Expectation(REBUILD, stays=True)
    outputs = None
    if all(change.is_silent or change.kind in _GIVEN for change in changes):
        outputs = _last_outputs(state, moving, store)
    return Expectation(REBUILD, stays=outputs is not None and outputs[0] == outputs[1], outputs=outputs)


def _last_outputs(state: StageState, moving: Mapping[str, Expectation], store: Store) -> tuple[str, str] | None:
    """Return the outputs of two builds, newer and older, that differ in what differs now and in nothing else.

    Inputs that other stages make are, in each of them, what these made when the like was last edited.
    """
    last, builds = state.last, list(store.built(state.stage.build_name))
    if last is None or len(builds) < 2:
        return None
    now, before = _parts(state.derivation), _parts(last)
    wanted: tuple[dict[str, str], dict[str, str]] = {}, {}
    for label, origin in state.stage.input_stages.items():
        if origin in moving:
            outputs = moving[origin].outputs
            if outputs is None:
                return None
            wanted[0][label], wanted[1][label] = outputs
        elif origin in state.waits_for:
            # It is not built yet, and will be what it was.
            now[label] = before.get(label)
    differing = _differing(now, before) | wanted[0].keys()
    alike = [
        (build, parts)
        for build in builds
        if _is_run_alike(build, last) and _differing(parts := _parts(build), before) <= differing
    ]
    for newer, parts in _having(alike, wanted[0]):
        for older, others in _having(alike, wanted[1]):
            if _differing(parts, others) == differing:
                return _output(newer, store), _output(older, store)
    return None


def _having(
    builds: Iterable[tuple[Derivation, Mapping[str, Any]]], wanted: Mapping[str, str]
) -> list[tuple[Derivation, Mapping[str, Any]]]:
    return [(build, parts) for build, parts in builds if all(parts.get(key) == path for key, path in wanted.items())]


def _parts(derivation: Derivation) -> dict[str, Any]:
    """Return what a stage was given: the path of each input by label, and its Python under ""."""
    return {**flat_inputs(derivation.attributes["inputs"]), "": derivation.builder}


def _differing(parts: Mapping[str, Any], others: Mapping[str, Any]) -> set[str]:
    return {label for label in {*parts, *others} if parts.get(label) != others.get(label)}


def _is_run_alike(build: Derivation, other: Derivation) -> bool:
    """Whether two builds have the same code and parameters."""
    parameters = [either.attributes["parameters"] for either in (build, other)]
    return build.arguments == other.arguments and parameters[0] == parameters[1]


def _output(build: Derivation, store: Store) -> str:
    return store.realisations[build.realisation()].path
