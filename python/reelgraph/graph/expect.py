"""What will probably become of a stage that is not built: built, or cut off; and whether its output will be as before.

Nobody knows before a build what an edit changes in a stage's output. Two things tell: an edit that cannot change any
output, such as a comment; and the store, where two earlier builds show what the like edit changed. It is followed along
the graph: each stage is asked about with the two outputs that its inputs had then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reelgraph.graph.changes import Change
from reelgraph.graph.derivation import Derivation
from reelgraph.graph.evaluate import flat_inputs
from reelgraph.graph.state import StageState, State
from reelgraph.graph.store import Store

BUILT, CUT_OFF, REBUILD = "", "cut-off", "rebuild"
# What differs in these was given to the stage from outside; of its own code or parameters the past says nothing.
_GIVEN = ("input", "model", "package", "toolchain")


# The newest builds are compared with so many others: enough to find one that was followed to the end.
_MOST_NEWER, _MOST_OLDER = 3, 64
# An edit in the store: the builds after and before it of the stage that it concerned.
Edit = tuple[str, str]


@dataclass(frozen=True)
class Expectation:
    """What becomes of a stage: BUILT, CUT_OFF or REBUILD, and whether its output will probably be as before.

    ``outputs`` are its outputs after and before each like edit that the store has seen, the newest first.
    """

    outcome: str
    stays: bool
    outputs: Mapping[Edit, tuple[str, str]] = field(default_factory=dict)


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
    outputs: dict[Edit, tuple[str, str]] = {}
    if all(change.is_silent or change.kind in _GIVEN for change in changes):
        outputs = dict(_outputs(state, moving, store))
    newest = next(iter(outputs.values()), None)
    return Expectation(REBUILD, newest is not None and newest[0] == newest[1], outputs)


def _outputs(
    state: StageState, moving: Mapping[str, Expectation], store: Store
) -> Iterator[tuple[Edit, tuple[str, str]]]:
    """Yield the outputs of pairs of builds, after and before an edit, that differ in what differs now and nothing else.

    Inputs that other stages make are, in each of them, what these made after and before the same edit.
    """
    last, builds = state.last, list(store.built(state.stage.build_name))
    if last is None or len(builds) < 2:
        return
    now, before = _parts(state.derivation), _parts(last)
    made = {label: moving[name] for label, name in state.stage.input_stages.items() if name in moving}
    for label, origin in state.stage.input_stages.items():
        if origin in state.waits_for and origin not in moving:
            # It is not built yet, and will be what it was.
            now[label] = before.get(label)
    differing = _differing(now, before) | made.keys()
    alike = [
        (build, parts)
        for build in builds
        if _is_run_alike(build, last) and _differing(parts := _parts(build), before) <= differing
    ]
    if not made:
        for newer, parts in alike[:_MOST_NEWER]:
            for older, others in alike[:_MOST_OLDER]:
                if _differing(parts, others) == differing:
                    yield (newer.realisation(), older.realisation()), (_output(newer, store), _output(older, store))
        return
    first, *rest = made.values()
    for edit in first.outputs:
        if all(edit in other.outputs for other in rest):
            sides = [{label: stage.outputs[edit][side] for label, stage in made.items()} for side in (0, 1)]
            for newer, parts in _having(alike, sides[0]):
                older = next(
                    (b for b, others in _having(alike, sides[1]) if _differing(parts, others) == differing), None
                )
                if older is not None:
                    yield edit, (_output(newer, store), _output(older, store))
                    break


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
