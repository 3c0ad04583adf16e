"""Which stages are built, which are to be built, and which nobody can know before their inputs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from reelgraph.graph.changes import matches_own_part, nearness
from reelgraph.graph.derivation import Derivation
from reelgraph.graph.evaluate import Graph, Stage
from reelgraph.graph.store import Store, ValidPath


class State(StrEnum):
    """``unknown``: an input is not built yet; if it comes out as before, this stage is cut off, else it is built."""

    BUILT = "built"
    TO_BUILD = "to-build"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class StageState:
    """A stage's state; ``derivation`` is what Nix builds or built, with the contents of ``waits_for`` still open.

    ``output`` is what the store holds of it; ``last`` is the build of its name that is most like it, the newest of
    several, None if it is built itself or never was.
    """

    stage: Stage
    state: State
    derivation: Derivation
    waits_for: tuple[str, ...]
    output: ValidPath | None
    last: Derivation | None

    @cached_property
    def drv(self) -> str | None:
        """The store path of ``derivation``, which names its build log; None while an input is open."""
        return None if self.waits_for else self.derivation.path(self.stage.build_name)


def find_states(graph: Graph, store: Store) -> dict[str, StageState]:
    """Return every stage's state, inputs before those that need them; nothing is built."""
    found: dict[str, StageState] = {}
    outputs: dict[str, str] = {}
    for name, stage in graph.stages.items():
        found[name] = state = _find_state(stage, graph.needs[name], outputs, store)
        if state.output is not None:
            outputs[name] = state.output.path
    return found


def _find_state(stage: Stage, needs: tuple[str, ...], outputs: Mapping[str, str], store: Store) -> StageState:
    open_stages = tuple(name for name in needs if name not in outputs)
    if open_stages and stage.build_name not in store.stage_derivations:
        return StageState(stage, State.TO_BUILD, stage.derivation, open_stages, None, None)
    known = {(drv, "out"): outputs[name] for drv, name in stage.upstream_drvs.items() if name in outputs}
    derivation = stage.derivation.resolve(known)
    output = None if open_stages else store.realisations.get(derivation.realisation())
    if output is not None:
        return StageState(stage, State.BUILT, derivation, (), output, None)
    built = list(store.built(stage.build_name))
    # Whatever its open inputs turn out to be: without an earlier build of this code and these parameters it is built.
    may_be_cut_off = False
    if open_stages and built:
        waited_for = set(open_stages)
        labels = {label for label, origin in stage.input_stages.items() if origin in waited_for}
        may_be_cut_off = any(matches_own_part(derivation, other, labels) for other in built)
    return StageState(
        stage=stage,
        state=State.UNKNOWN if may_be_cut_off else State.TO_BUILD,
        derivation=derivation,
        waits_for=open_stages,
        output=None,
        last=built[0] if len(built) == 1 else max(built, key=lambda other: nearness(derivation, other), default=None),
    )
