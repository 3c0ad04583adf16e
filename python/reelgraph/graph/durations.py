"""How long stages took, from their build logs, and how long others will probably take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from reelgraph.files import read_json
from reelgraph.graph.evaluate import Graph, Stage
from reelgraph.graph.state import StageState
from reelgraph.graph.store import Store

# Enough to know a stage's usual time; of a thousand episodes the other logs would be read for nothing.
_ENOUGH = 9
TRAINING_PLANS = ("wan22-plan", "ltx2-plan")


@dataclass(frozen=True)
class Training:
    """A segment's training steps, and the seconds that its training plan estimates on ``gpu``, None if it does not."""

    steps: int
    estimate: float | None
    gpu: str


@dataclass
class Durations:
    """Seconds by stage. ``trainings`` has each segment whose training plan is built.

    ``step_seconds`` is what a training step takes where no segment was ever built.
    """

    store: Store
    states: Mapping[str, StageState]
    trainings: Mapping[str, Training]
    step_seconds: float | None = None
    _usual: dict[tuple[str, frozenset[str]], float | None] = field(default_factory=dict)

    def estimate(self, state: StageState) -> tuple[float | None, str]:
        """Return (seconds, what they rest on) for a stage, built or not; (None, "") if nothing is known.

        A build without a GPU says nothing of one with it, nor the other way round; and neither does a build of another
        pipeline, whose model, episodes or segments may be of another size.
        """
        stage = state.stage
        if state.drv is not None and (seconds := self.store.seconds(state.drv)) is not None:
            return seconds, "recorded"
        own = self._newest(stage.build_name, stage.features)
        if own is not None:
            return own, "its last build"
        training = self.trainings.get(stage.name)
        if training and (rate := self._step_seconds(stage)) is not None:
            return round(rate * training.steps, 1), f"the training plan's {training.steps:,} steps"
        if training and training.estimate is not None and stage.features:
            return round(training.estimate, 1), f"the training plan's estimate for {training.gpu}"
        alike = stage.stage, stage.features
        if alike not in self._usual:
            self._usual[alike] = self._usual_of(*alike)
        usual = self._usual[alike]
        return usual, f"other {stage.stage} stages of this target" if usual is not None else ""

    def _step_seconds(self, stage: Stage) -> float | None:
        for name, training in self.trainings.items():
            state = self.states[name]
            is_alike = (state.stage.stage, state.stage.features) == (stage.stage, stage.features)
            if is_alike and state.drv and (seconds := self.store.seconds(state.drv)) is not None:
                return seconds / training.steps
        return self.step_seconds

    def _newest(self, name: str, features: frozenset[str]) -> float | None:
        for path in self.store.stage_derivations.get(name, []):
            if (seconds := self.store.seconds(path)) is not None and self._features(path) == features:
                return seconds
        return None

    def _features(self, path: str) -> frozenset[str] | None:
        built = self.store.resolved(path)
        return None if built is None else frozenset(built.attributes.get("requiredSystemFeatures", []))

    def _usual_of(self, stage: str, features: frozenset[str]) -> float | None:
        known: list[float] = []
        for state in self.states.values():
            if len(known) == _ENOUGH:
                break
            if (state.stage.stage, state.stage.features) == (stage, features):
                seconds = self._newest(state.stage.build_name, features)
                known += [] if seconds is None else [seconds]
        return median(known) if known else None


def find_trainings(graph: Graph, states: Mapping[str, StageState], store: Store) -> dict[str, Training]:
    """Return the segments whose training plan is built, by stage name."""
    plans = {
        name: read_json(store.file(state.output.path) / "plan.json")
        for name, state in states.items()
        if state.stage.stage in TRAINING_PLANS and state.output is not None
    }
    trainings: dict[str, Training] = {}
    for name, stage in graph.stages.items():
        if not stage.kind.endswith("-segment") or (number := stage.parameters.get("segment")) is None:
            continue
        near = {other for needed in graph.needs[name] for other in (needed, *graph.needs[needed])}
        for plan in sorted(near & plans.keys()):
            if number < len(plans[plan]["segments"]):
                trainings[name] = _training(plans[plan], number, stage.parameters.get("recompute"))
    return trainings


def _training(plan: Mapping[str, Any], number: int, recompute: str | None) -> Training:
    steps = [segment["last"] - segment["first"] + 1 for segment in plan["segments"]]
    estimate = plan.get("estimate") or {"modes": [], "gpu": ""}
    whole = next((mode["seconds"] for mode in estimate["modes"] if mode["recompute"] == recompute), None)
    return Training(steps[number], None if whole is None else whole * steps[number] / sum(steps), estimate["gpu"])
