"""What building a target would do: state, place, reasons, time and cost of each stage, before any of it happens."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

from reelgraph.graph.builders import LOCAL, NOWHERE, Machines, read_machines
from reelgraph.graph.changes import Change
from reelgraph.graph.durations import Durations, find_trainings
from reelgraph.graph.evaluate import Checkout, Graph, load_graph
from reelgraph.graph.expect import CUT_OFF, REBUILD, Expectation, expect
from reelgraph.graph.explain import explainer
from reelgraph.graph.prices import CENT, Price
from reelgraph.graph.state import StageState, State, find_states
from reelgraph.graph.store import Store
from reelgraph.graph.words import some

_MOST_NAMED = 3
# What a person changed on purpose comes before what follows from it.
_TOLD_FIRST = (
    "stage",
    "parameter",
    "input",
    "model",
    "package",
    "code",
    "features",
    "output",
    "toolchain",
    "derivation",
)


@dataclass(frozen=True)
class StagePlan:
    """One stage of a plan.

    ``expected`` is ``rebuild`` or ``cut-off`` for a stage that is not built, "" for one that is.
    """

    name: str
    stage: str
    kind: str
    state: State
    where: str
    why: tuple[str, ...]
    changes: tuple[Change, ...]
    waits_for: tuple[str, ...]
    expected: str
    output: str | None
    hash: str | None
    size: int | None
    estimate: Callable[[], tuple[float | None, str]]
    price: Price | None

    @cached_property
    def _time(self) -> tuple[float | None, str]:
        # Read when asked for: a thousand episodes have more logs than anybody looks at.
        return self.estimate()

    @property
    def seconds(self) -> float | None:
        """How long it took if it is built, and will probably take else; None if nothing is known."""
        return self._time[0]

    @property
    def seconds_from(self) -> str:
        """What ``seconds`` rest on, or ""."""
        return self._time[1]

    @property
    def cost(self) -> Decimal | None:
        """What building it costs on a builder; None if it is built, is built here, or nobody knows."""
        if self.price is None or self.state == State.BUILT or self.where == LOCAL or self.seconds is None:
            return None
        return self.price.cost(self.seconds)


@dataclass(frozen=True)
class Plan:
    """A target's stages, inputs before those that need them."""

    graph: Graph
    stages: Mapping[str, StagePlan]
    price: Price | None

    def count(self, state: State) -> int:
        """How many stages are in a state."""
        return sum(stage.state == state for stage in self.stages.values())

    def totals(self) -> dict[str, Any]:
        """Return the totals as ``reel plan --json`` has them."""
        pending = [stage for stage in self.stages.values() if stage.state != State.BUILT]
        certain = [stage for stage in pending if stage.state == State.TO_BUILD]
        remote = [stage for stage in pending if stage.where != LOCAL]
        return {
            "stages": len(self.stages),
            "built": self.count(State.BUILT),
            "to_build": len(certain),
            "unknown": self.count(State.UNKNOWN),
            "seconds": _seconds(certain),
            "seconds_at_most": _seconds(pending),
            "without_estimate": sum(stage.seconds is None for stage in pending),
            "remote": sum(stage.where != NOWHERE for stage in remote),
            "nowhere": sum(stage.where == NOWHERE for stage in remote),
            "cost": _money(stage.cost for stage in remote) if self.price else None,
            "currency": self.price.currency if self.price else None,
        }


def make_plan(
    checkout: Checkout,
    target: str,
    *,
    store: Store | None = None,
    against: str | None = None,
    price: Price | None = None,
    step_seconds: float | None = None,
    reasons: bool = True,
) -> Plan:
    """Evaluate a target and say what building it would do; nothing is built.

    ``against`` is a git revision or a finished result (a directory with provenance.json); else each stage is compared
    with its last build. ``step_seconds`` is what a training step takes where none was ever recorded. Without
    ``reasons`` only states, times and sizes are found.
    """
    store = store or Store()
    with _all_is_kept():
        graph = load_graph(checkout, target)
        states = find_states(graph, store)
        explain = explainer(checkout, graph, states, store, against) if reasons else lambda state: []
        machines = read_machines(checkout) if any(stage.features for stage in graph.stages.values()) else None
        durations = Durations(store, states, find_trainings(graph, states, store), step_seconds)
        plans: dict[str, StagePlan] = {}
        expectations: dict[str, Expectation] = {}
        for name, state in states.items():
            changes = explain(state)
            expectations[name] = expect(state, changes, expectations, store)
            plans[name] = _stage_plan(state, changes, expectations[name].outcome, plans, machines, durations, price)
        return Plan(graph, plans, price)


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return a plan as data (schemas/reel-plan.json)."""
    return {
        "target": plan.graph.target,
        "stages": [
            {
                "name": stage.name,
                "state": stage.state.value,
                "where": stage.where,
                "why": list(stage.why),
                "changes": [
                    {
                        "kind": change.kind,
                        "name": change.name,
                        "was": change.was,
                        "now": change.now,
                        "silent": change.is_silent,
                    }
                    for change in stage.changes
                ],
                "waits_for": list(stage.waits_for),
                "expected": stage.expected or None,
                "seconds": stage.seconds,
                "seconds_from": stage.seconds_from or None,
                "cost": None if stage.cost is None else str(stage.cost),
                "output": stage.output,
            }
            for stage in plan.stages.values()
        ],
        "totals": plan.totals(),
    }


@contextmanager
def _all_is_kept() -> Iterator[None]:
    """Look for no garbage: among the hundred thousand values of a large graph there is none, and looking takes as long
    as all else.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _stage_plan(
    state: StageState,
    changes: Sequence[Change],
    expected: str,
    earlier: Mapping[str, StagePlan],
    machines: Machines | None,
    durations: Durations,
    price: Price | None,
) -> StagePlan:
    stage = state.stage
    where = machines.where(stage.derivation.system, stage.features) if machines else LOCAL
    told = tuple(sorted(changes, key=lambda change: (change.is_silent, _TOLD_FIRST.index(change.kind))))
    return StagePlan(
        name=stage.name,
        stage=stage.stage,
        kind=stage.kind,
        state=state.state,
        where=where,
        why=(*(change.sentence for change in told), *_circumstances(state, where, expected, earlier, durations.store)),
        changes=told,
        waits_for=state.waits_for,
        expected=expected,
        output=state.output.path if state.output else None,
        hash=state.output.hash if state.output else None,
        size=state.output.size if state.output else None,
        estimate=partial(durations.estimate, state),
        price=price,
    )


def _circumstances(
    state: StageState, where: str, expected: str, earlier: Mapping[str, StagePlan], store: Store
) -> Iterable[str]:
    """Yield why a stage is not built but for what changed in it."""
    if state.state == State.BUILT:
        return
    if where == NOWHERE:
        features = ", ".join(sorted(state.stage.features))
        yield f"needs a builder with {features}, and none is registered; see docs/builder.md"
    if state.waits_for:
        names = some(_nearest(state.waits_for, earlier), _MOST_NAMED)
        after = {
            CUT_OFF: "probably cut off: they should come out the same",
            REBUILD: "cut off if they come out the same",
        }
        yield f"waits for {names}" + (f"; {after[expected]}" if state.state == State.UNKNOWN else "")
    elif state.drv and store.seconds(state.drv) is not None:
        yield "its output is no longer in the store"
    elif state.last is None:
        yield "never built here"


def _nearest(names: Sequence[str], plans: Mapping[str, StagePlan]) -> list[str]:
    """Return those of ``names`` that no other of them waits for, since waiting for that one says it already."""
    further = {other for name in names for other in plans[name].waits_for}
    return [name for name in names if name not in further] or list(names)


def _seconds(stages: Iterable[StagePlan]) -> float:
    return round(sum(stage.seconds for stage in stages if stage.seconds is not None), 1)


def _money(costs: Iterable[Decimal | None]) -> str:
    return str(sum((cost for cost in costs if cost is not None), Decimal(0)).quantize(CENT))
