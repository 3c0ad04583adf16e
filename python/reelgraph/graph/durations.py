"""How long stages took, from their build logs, and how long others will probably take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from reelgraph.files import read_json
from reelgraph.graph.evaluate import Graph
from reelgraph.graph.state import StageState
from reelgraph.graph.store import Store

# Enough to know a stage's usual time; a thousand episodes' logs would be read for nothing.
_ENOUGH = 9
TRAINING_PLAN = "wan22-plan"


@dataclass
class Durations:
    """Seconds by stage. ``steps`` has the training steps of each segment as far as the training plan is built.

    ``step_seconds`` is what a training step takes where no segment was ever built.
    """

    store: Store
    states: Mapping[str, StageState]
    steps: Mapping[str, int]
    step_seconds: float | None = None
    _usual: dict[str, float | None] = field(default_factory=dict)

    def estimate(self, state: StageState) -> tuple[float | None, str]:
        """Return (seconds, what they rest on) for a stage, built or not; (None, "") if nothing is known."""
        stage = state.stage
        if state.drv is not None and (seconds := self.store.seconds(state.drv)) is not None:
            return seconds, "recorded"
        own = self._newest(f"reel-{stage.set}-{stage.stage}")
        if own is not None:
            return own, "its last build"
        if stage.name in self.steps and (rate := self._step_seconds(stage.stage)) is not None:
            return round(rate * self.steps[stage.name], 1), f"the training plan's {self.steps[stage.name]:,} steps"
        if stage.stage not in self._usual:
            self._usual[stage.stage] = self._usual_of(stage.stage)
        usual = self._usual[stage.stage]
        return usual, f"other {stage.stage} stages" if usual is not None else ""

    def _step_seconds(self, stage: str) -> float | None:
        for name, steps in self.steps.items():
            state = self.states[name]
            if state.stage.stage == stage and state.drv and (seconds := self.store.seconds(state.drv)) is not None:
                return seconds / steps
        return self.step_seconds

    def _newest(self, name: str) -> float | None:
        for path in self.store.stage_derivations.get(name, []):
            if (seconds := self.store.seconds(path)) is not None:
                return seconds
        return None

    def _usual_of(self, stage: str) -> float | None:
        known: list[float] = []
        for name in self.store.stage_derivations:
            if name.endswith(f"-{stage}") and len(known) < _ENOUGH and (seconds := self._newest(name)) is not None:
                known.append(seconds)
        return median(known) if known else None


def training_steps(graph: Graph, states: Mapping[str, StageState], store: Store) -> dict[str, int]:
    """Return the training steps of each segment whose training plan is built, by stage name."""
    plans = {
        name: read_json(store.file(state.output.path) / "plan.json")["segments"]
        for name, state in states.items()
        if state.stage.stage == TRAINING_PLAN and state.output is not None
    }
    steps: dict[str, int] = {}
    for name, stage in graph.stages.items():
        number = stage.parameters.get("segment")
        if number is None or not stage.kind.endswith("-segment"):
            continue
        near = {other for needed in graph.needs[name] for other in (needed, *graph.needs[needed])}
        for plan in sorted(near & plans.keys()):
            if number < len(plans[plan]):
                steps[name] = plans[plan][number]["last"] - plans[plan][number]["first"] + 1
    return steps
