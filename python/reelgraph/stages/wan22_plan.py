"""Plan a training run before any GPU is used: which clip, noise level, noise and learning rate at each step.

The plan is the dry run. Every row depends on seed, epoch, repeat and clip alone, so that one epoch more leaves the rows of
the epochs before it as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json, write_json
from reelgraph.stage import Stage
from reelgraph.train.counter import draw_fraction, draw_integer
from reelgraph.train.plan import MicroStep, Step, segment_file
from reelgraph.train.prompts import prompt_hash

TRAINING_TIMESTEPS = 1000
SPATIAL_PATCH = 2


@dataclass(frozen=True)
class Inputs:
    """The dataset, and per episode the outputs of wan22-latents and wan22-text."""

    package: Path
    latents: dict[str, Path]
    text: dict[str, Path]


@dataclass(frozen=True)
class Parameters:
    """See schemas/wan22-plan.parameters.json."""

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
    timestep_shift: float
    timestep_minimum: float
    timestep_maximum: float
    first_frame_probability: float
    token_limit: int
    held_out_shots: int
    held_out_timesteps: list[int]


@dataclass(frozen=True)
class Clip:
    """A clip of the package with what the transformer sees of it."""

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


def join_clips(rows: list[dict[str, Any]], latents: Mapping[str, Path], text: Mapping[str, Path]) -> list[Clip]:
    """Join package rows with their latents and embeddings; raise a StageError naming a clip that lacks one."""
    shapes = {
        (episode, entry["clip"]): entry["shape"]
        for episode, path in latents.items()
        for entry in read_json(path / "latents.json")["latents"]
    }
    prompts = {
        (episode, entry["prompt"]) for episode, path in text.items() for entry in read_json(path / "text.json")["prompts"]
    }
    clips = []
    for row in rows:
        name = f"{row['episode']}/{row['clip']}"
        shape = shapes.get((row["episode"], row["clip"]))
        if shape is None:
            raise StageError(f"clip {name} of the package has no latents; build wan22-latents for episode '{row['episode']}'")
        if (row["episode"], row["prompt"]) not in prompts:
            raise StageError(
                f"the prompt of clip {name} has no embedding; build wan22-text for episode '{row['episode']}' "
                "from the same captions and with the same trigger"
            )
        _, frames, height, width = shape
        if frames != (row["frames"] - 1) // 4 + 1:
            raise StageError(f"clip {name}: its latents have {frames} frames, {row['frames']} were packaged; encode it again")
        tokens = frames * (height // SPATIAL_PATCH) * (width // SPATIAL_PATCH)
        clips.append(Clip(row["episode"], row["clip"], row["shot"], prompt_hash(row["prompt"]), tokens, frames))
    return clips


def held_out_shots(clips: list[Clip], parameters: Parameters) -> set[tuple[str, int]]:
    """Return the (episode, shot) pairs to keep out of training; whole shots, since clips of one shot look alike."""
    shots = {(clip.episode, clip.shot) for clip in clips}
    if parameters.held_out_shots >= len(shots):
        raise StageError(
            f"held_out_shots is {parameters.held_out_shots}, but the dataset has {len(shots)} shots; hold out fewer than all"
        )
    return set(sorted(shots, key=lambda shot: draw_integer(parameters.seed, "held-out", *shot))[: parameters.held_out_shots])


def timestep_indices(parameters: Parameters) -> tuple[int, int]:
    """Return the half-open range of timestep indices to draw from, as diffsynth's boundaries define it."""
    first = int(parameters.timestep_minimum * TRAINING_TIMESTEPS)
    last = int(parameters.timestep_maximum * TRAINING_TIMESTEPS)
    if first >= last:
        raise StageError(
            f"timestep_minimum {parameters.timestep_minimum} must be below timestep_maximum {parameters.timestep_maximum}"
        )
    return first, last


def timestep_value(index: int, shift: float) -> float:
    """Return the timestep (0 clean to 1000 pure noise) at an index, as diffsynth's scheduler computes it."""
    sigma = 1 - index / TRAINING_TIMESTEPS
    return round(1000 * shift * sigma / (1 + (shift - 1) * sigma), 4)


def plan_epoch(clips: list[Clip], epoch: int, parameters: Parameters) -> list[MicroStep]:
    """Return the micro steps of one epoch: every clip once in each repeat, each repeat in an order of its own."""
    seed, (first, last) = parameters.seed, timestep_indices(parameters)
    micro_steps = []
    for repeat in range(parameters.dataset_repeat):
        for clip in sorted(clips, key=lambda clip, repeat=repeat: draw_integer(seed, "order", epoch, repeat, clip.name)):
            labels = (epoch, repeat, clip.name)
            index = first + int(draw_fraction(seed, "timestep", *labels) * (last - first))
            conditioned = draw_fraction(seed, "first-frame", *labels) < parameters.first_frame_probability
            noise = draw_integer(seed, "noise", *labels)
            # A still has no frame left to learn from once its first is given.
            first_frame = conditioned and clip.latent_frames > 1
            micro_steps.append(MicroStep(clip.episode, clip.clip, clip.prompt, index, noise, first_frame))
    return micro_steps


def learning_rate(step: int, parameters: Parameters) -> float:
    """Return the learning rate of an optimiser step, counted from 1: a linear warm-up, then constant."""
    return parameters.learning_rate * min(1.0, step / max(1, parameters.warmup_steps))


def plan_steps(clips: list[Clip], parameters: Parameters) -> list[list[Step]]:
    """Return the optimiser steps of each segment; segments and accumulation never reach over the end of an epoch."""
    segments: list[list[Step]] = []
    step = 0
    for epoch in range(parameters.epochs):
        micro_steps, size = plan_epoch(clips, epoch, parameters), parameters.gradient_accumulation
        count = math.ceil(len(micro_steps) / size)
        if count < parameters.segments_per_epoch:
            raise StageError(f"segments_per_epoch is {parameters.segments_per_epoch}, but an epoch has {count} steps; take fewer")
        ends = [count * (number + 1) // parameters.segments_per_epoch for number in range(parameters.segments_per_epoch)]
        for start, end in zip([0, *ends], ends, strict=False):
            groups = [tuple(micro_steps[number * size : (number + 1) * size]) for number in range(start, end)]
            segments.append(
                [Step(step + 1 + number, learning_rate(step + 1 + number, parameters), group) for number, group in enumerate(groups)]
            )
            step += len(groups)
    return segments


def held_out_pairs(clips: list[Clip], parameters: Parameters) -> list[dict[str, Any]]:
    """Return fixed (clip, timestep, noise) triples for the held-out loss."""
    return [
        asdict(MicroStep(clip.episode, clip.clip, clip.prompt, index, draw_integer(parameters.seed, "held-out", clip.name, index), False))
        for clip in clips
        for index in parameters.held_out_timesteps
    ]


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write plan.json for readers, recipe.json and segments/NN.jsonl for wan22-train."""
    clips = join_clips(read_json(inputs.package / "metadata.json"), inputs.latents, inputs.text)
    held_out = held_out_shots(clips, parameters)
    limit = parameters.token_limit
    dropped = [
        {"clip": clip.name, "reason": f"{clip.tokens} tokens, above the limit of {limit}"} for clip in clips if 0 < limit < clip.tokens
    ]
    within = [clip for clip in clips if not 0 < limit < clip.tokens]
    trained = [clip for clip in within if (clip.episode, clip.shot) not in held_out]
    kept_out = [clip for clip in within if (clip.episode, clip.shot) in held_out]
    dropped += [{"clip": clip.name, "reason": "held out to measure the loss on material not trained on"} for clip in kept_out]
    if not trained:
        raise StageError(f"no clip is left to train on; token_limit {limit} drops all that are not held out, raise it")
    segments = plan_steps(trained, parameters)
    (out / "segments").mkdir()
    for number, steps in enumerate(segments):
        lines = [json.dumps(asdict(step), sort_keys=True, ensure_ascii=False) for step in steps]
        (out / segment_file(number)).write_text("\n".join(lines) + "\n", encoding="utf-8")
    shared = ("seed", "gradient_clip", "weight_decay", "lora_rank", "timestep_shift")
    recipe = {name: getattr(parameters, name) for name in shared}
    write_json(out / "recipe.json", {**recipe, "held_out": held_out_pairs(kept_out, parameters)})
    first, last = timestep_indices(parameters)
    micro_steps = [micro_step for steps in segments for step in steps for micro_step in step.micro_steps]
    tokens = {(clip.episode, clip.clip): clip.tokens for clip in trained}
    write_json(
        out / "plan.json",
        {
            "parameters": asdict(parameters),
            "dataset": read_json(inputs.package / "dataset.json")["hash"],
            "package": content_hash(inputs.package),
            "clips": len(trained),
            "dropped": dropped,
            "micro_steps": len(micro_steps),
            "total_steps": sum(map(len, segments)),
            "tokens": sum(tokens[step.episode, step.clip] for step in micro_steps),
            "largest_clip_tokens": max(tokens.values()),
            "timesteps": {
                "first_index": first,
                "last_index": last - 1,
                "highest": timestep_value(first, parameters.timestep_shift),
                "lowest": timestep_value(last - 1, parameters.timestep_shift),
            },
            "segments": [
                {"file": segment_file(number), "first": steps[0].step, "last": steps[-1].step} for number, steps in enumerate(segments)
            ],
        },
    )


STAGE = Stage(
    name="wan22-plan", inputs=Inputs, parameters=Parameters, outputs={"plan.json": "plan", "recipe.json": "recipe"}, run=run
)

if __name__ == "__main__":
    STAGE.main()
