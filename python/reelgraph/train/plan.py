"""Reading a training plan: the recipe that all segments share, and the optimiser steps of one segment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json


@dataclass(frozen=True)
class MicroStep:
    """One clip at one noise level.

    ``prompt`` is the sha256 of its text; ``timestep_index`` counts diffsynth's 1000 training timesteps from the
    noisiest, and ``timestep`` is the value there, for readers.
    """

    episode: str
    clip: str
    prompt: str
    timestep_index: int
    timestep: float
    noise_seed: int
    first_frame: bool

    @property
    def name(self) -> str:
        """Return how messages call the clip."""
        return f"{self.episode}/{self.clip}"


@dataclass(frozen=True)
class Step:
    """One optimiser step: the mean gradient of its micro steps, applied at ``learning_rate``."""

    step: int
    learning_rate: float
    micro_steps: tuple[MicroStep, ...]


def segment_file(segment: int) -> str:
    """Return the plan's file for a segment, counted from 0."""
    return f"segments/{segment:02d}.jsonl"


def read_segment(plan: Path, segment: int) -> list[Step]:
    """Return the steps of one segment; raise a StageError if the plan has no such segment."""
    path = plan / segment_file(segment)
    if not path.is_file():
        raise StageError(f"the plan has no segment {segment}; plan more segments or train fewer")
    return [_step(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def read_held_out(recipe: dict[str, Any]) -> list[MicroStep]:
    """Return the fixed (clip, timestep, noise) triples on which the held-out loss is measured."""
    return [MicroStep(**row) for row in recipe["held_out"]]


def read_recipe(plan: Path) -> dict[str, Any]:
    """Return recipe.json: what every segment needs to know beside its steps."""
    return read_json(plan / "recipe.json")


def _step(row: dict[str, Any]) -> Step:
    micro_steps = tuple(MicroStep(**micro_step) for micro_step in row["micro_steps"])
    return Step(row["step"], row["learning_rate"], micro_steps)
