"""The arithmetic of a training plan: order of clips, noise levels, learning rates, segments.

Every draw depends on seed, epoch, repeat and clip alone, so one epoch more leaves those before it as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from reelgraph.errors import StageError
from reelgraph.train.counter import draw_fraction, draw_integer
from reelgraph.train.plan import MicroStep, Step

TRAINING_TIMESTEPS = 1000


@dataclass(frozen=True)
class RunSettings:
    """What shapes a plan, whatever the model; units in schemas/wan22-plan.parameters.json."""

    seed: int
    epochs: int
    dataset_repeat: int
    gradient_accumulation: int
    segments_per_epoch: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    gradient_clip: float
    lora_rank: int
    first_frame_probability: float
    token_limit: int
    held_out_shots: int
    held_out_timesteps: list[int]


@dataclass(frozen=True)
class Settings(RunSettings):
    """A run with its scale of noise, and the part of it that one transformer is trained on."""

    timestep_shift: float
    expert: str
    timestep_minimum: float
    timestep_maximum: float


@dataclass(frozen=True, order=True)
class Clip:
    """A clip of the package with what the transformer sees of it; ``prompt`` is the sha256 of its text."""

    episode: str
    clip: str
    shot: int
    prompt: str
    tokens: int
    latent_frames: int

    @property
    def name(self) -> str:
        """Return how the plan and messages call the clip."""
        return f"{self.episode}/{self.clip}"


# Draws the timestep index of a clip: (clip, settings, labels of the draw).
DrawIndex = Callable[..., int]


def timestep_indices(settings: Settings) -> tuple[int, int]:
    """Return the half-open range of timestep indices to draw from, as diffsynth's boundaries define it."""
    first = int(settings.timestep_minimum * TRAINING_TIMESTEPS)
    last = int(settings.timestep_maximum * TRAINING_TIMESTEPS)
    if first >= last:
        raise StageError(
            f"timestep_minimum {settings.timestep_minimum} is not below timestep_maximum {settings.timestep_maximum}; "
            "expected a range between 0 and 1"
        )
    return first, last


def timestep_at(index: int, shift: float) -> float:
    """Return the timestep (1000 pure noise, 0 clean) at an index, as diffsynth's scheduler computes it."""
    sigma = 1 - index / TRAINING_TIMESTEPS
    return round(TRAINING_TIMESTEPS * shift * sigma / (1 + (shift - 1) * sigma), 3)


def learning_rate_at(step: int, settings: Settings) -> float:
    """Return the learning rate of an optimiser step, counted from 1: a linear warm-up, then constant."""
    return float(f"{settings.learning_rate * min(1.0, step / max(1, settings.warmup_steps)):.7g}")


def held_out_shots(clips: Sequence[Clip], settings: Settings) -> set[tuple[str, int]]:
    """Return the (episode, shot) pairs to keep out of training; whole shots, since clips of one shot look alike."""
    shots = {(clip.episode, clip.shot) for clip in clips}
    if settings.held_out_shots >= len(shots):
        raise StageError(
            f"held_out_shots is {settings.held_out_shots}, but the dataset has {len(shots)} shots; hold out fewer"
        )
    return set(
        sorted(shots, key=lambda shot: draw_integer(settings.seed, "held-out", *shot))[: settings.held_out_shots]
    )


def held_out_steps(clips: Sequence[Clip], settings: Settings) -> list[MicroStep]:
    """Return fixed clips, noise levels and noise on which the held-out loss is measured."""
    return [
        _micro_step(clip, index, draw_integer(settings.seed, "held-out-noise", clip.name, index), False, settings)
        for clip in clips
        for index in settings.held_out_timesteps
    ]


def uniform_index(clip: Clip, settings: Settings, *labels: object) -> int:
    """Return a timestep index for a clip, each of the planned range as likely as another."""
    first, last = timestep_indices(settings)
    return first + int(draw_fraction(settings.seed, "timestep", *labels) * (last - first))


def plan_epoch(
    clips: Sequence[Clip], epoch: int, settings: Settings, draw_index: DrawIndex = uniform_index
) -> list[MicroStep]:
    """Return the micro steps of one epoch: every clip once in each repeat, each repeat in an order of its own."""
    seed = settings.seed
    micro_steps = []
    for repeat in range(settings.dataset_repeat):
        for _, clip in sorted((draw_integer(seed, "order", epoch, repeat, clip.name), clip) for clip in clips):
            labels = (epoch, repeat, clip.name)
            index = draw_index(clip, settings, *labels)
            conditioned = draw_fraction(seed, "first-frame", *labels) < settings.first_frame_probability
            # A still has no frame left to learn from once its first is given.
            first_frame = conditioned and clip.latent_frames > 1
            micro_steps.append(_micro_step(clip, index, draw_integer(seed, "noise", *labels), first_frame, settings))
    return micro_steps


def plan_segments(clips: Sequence[Clip], settings: Settings, draw_index: DrawIndex = uniform_index) -> list[list[Step]]:
    """Return the optimiser steps of each segment; neither segment nor accumulation reaches over the end of an epoch."""
    segments: list[list[Step]] = []
    done = 0
    for epoch in range(settings.epochs):
        micro_steps, size = plan_epoch(clips, epoch, settings, draw_index), settings.gradient_accumulation
        groups = [tuple(micro_steps[start : start + size]) for start in range(0, len(micro_steps), size)]
        count, parts = len(groups), settings.segments_per_epoch
        if count < parts:
            raise StageError(f"segments_per_epoch is {parts}, but an epoch has only {count} steps; take fewer segments")
        for part in range(parts):
            numbers = range(count * part // parts, count * (part + 1) // parts)
            segments.append([Step(done + n + 1, learning_rate_at(done + n + 1, settings), groups[n]) for n in numbers])
        done += count
    return segments


def token_count(shape: Sequence[int]) -> int:
    """Return the transformer tokens of latents [channels, frames, height, width]; a patch is 1x2x2."""
    _, frames, height, width = shape
    return frames * math.ceil(height / 2) * math.ceil(width / 2)


def _micro_step(clip: Clip, index: int, noise_seed: int, first_frame: bool, settings: Settings) -> MicroStep:
    timestep = timestep_at(index, settings.timestep_shift)
    return MicroStep(clip.episode, clip.clip, clip.prompt, index, timestep, noise_seed, first_frame)
