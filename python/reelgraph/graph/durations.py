"""How long stages took, from their build logs, and how long others will probably take."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

from reelgraph.graph.state import StageState
from reelgraph.graph.store import Store

# Enough to know a stage's usual time; a thousand episodes' logs would be read for nothing.
_ENOUGH = 9


@dataclass
class Durations:
    """Seconds by stage, from the logs of a store; ``source`` says what an estimate rests on."""

    store: Store
    _usual: dict[str, float | None] = field(default_factory=dict)

    def estimate(self, state: StageState) -> tuple[float | None, str]:
        """Return (seconds, source) for a stage that is built or to be built; (None, "") if nothing is known."""
        if state.drv is not None and (seconds := self.store.seconds(state.drv)) is not None:
            return seconds, "recorded"
        own = self._newest(f"reel-{state.stage.set}-{state.stage.stage}")
        if own is not None:
            return own, "its last build"
        if state.stage.stage not in self._usual:
            self._usual[state.stage.stage] = self._usual_of(state.stage.stage)
        usual = self._usual[state.stage.stage]
        return usual, f"other {state.stage.stage} stages" if usual is not None else ""

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
