"""Plan a training run before any GPU is used: which clip, noise level, noise and learning rate at each step.

The plan is the dry run: plan.json is for readers, recipe.json and segments/NN.jsonl (one line an optimiser step) are
what wan22-train follows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json, write_json
from reelgraph.stage import Stage
from reelgraph.train.estimates import RECOMPUTE, estimate, run_seconds, table
from reelgraph.train.plan import Step, segment_file
from reelgraph.train.prompts import prompt_hash
from reelgraph.train.schedule import (
    Clip,
    Settings,
    held_out_shots,
    held_out_steps,
    plan_segments,
    timestep_at,
    timestep_indices,
    token_count,
)

SHARED_BY_SEGMENTS = ("seed", "gradient_clip", "weight_decay", "lora_rank", "timestep_shift", "expert")


@dataclass(frozen=True)
class Inputs:
    """The dataset, and per episode the outputs of wan22-latents and wan22-text."""

    package: Path
    latents: dict[str, Path]
    text: dict[str, Path]


@dataclass(frozen=True)
class Parameters(Settings):
    """See schemas/wan22-plan.parameters.json."""


def join_clips(rows: list[dict[str, Any]], latents: Mapping[str, Path], text: Mapping[str, Path]) -> list[Clip]:
    """Join package rows with their latents and embeddings; raise a StageError naming a clip that lacks one."""
    shapes, prompts = {}, set()
    for episode, path in latents.items():
        shapes.update(
            {(episode, entry["clip"]): entry["shape"] for entry in read_json(path / "latents.json")["latents"]}
        )
    for episode, path in text.items():
        prompts.update((episode, entry["prompt"]) for entry in read_json(path / "text.json")["prompts"])
    clips = []
    for row in rows:
        episode, name = row["episode"], f"{row['episode']}/{row['clip']}"
        shape = shapes.get((episode, row["clip"]))
        if shape is None:
            raise StageError(f"clip {name} of the package has no latents; build wan22-latents for episode '{episode}'")
        if shape[1] != (row["frames"] - 1) // 4 + 1:
            raise StageError(
                f"clip {name}: {shape[1]} latent frames do not come from {row['frames']} frames; encode it again"
            )
        if (episode, row["prompt"]) not in prompts:
            raise StageError(
                f"the prompt of clip {name} has no embedding; build wan22-text for episode '{episode}' from the same "
                "captions and with the same trigger"
            )
        clips.append(Clip(episode, row["clip"], row["shot"], prompt_hash(row["prompt"]), token_count(shape), shape[1]))
    return clips


def select_clips(clips: list[Clip], settings: Settings) -> tuple[list[Clip], list[Clip], list[dict[str, str]]]:
    """Return the clips to train on, those held out, and name and reason of all that are not trained on."""
    limit, shots = settings.token_limit, held_out_shots(clips, settings)
    too_large = [clip for clip in clips if 0 < limit < clip.tokens]
    held_out = [clip for clip in clips if clip not in too_large and (clip.episode, clip.shot) in shots]
    trained = [clip for clip in clips if clip not in too_large and clip not in held_out]
    if not trained:
        raise StageError(f"no clip is left to train on: token_limit {limit} drops all that are not held out; raise it")
    dropped = [{"clip": clip.name, "reason": f"{clip.tokens} tokens, above token_limit {limit}"} for clip in too_large]
    dropped += [
        {"clip": clip.name, "reason": "held out to measure the loss on shots not trained on"} for clip in held_out
    ]
    return trained, held_out, dropped


def summary(segments: list[list[Step]], trained: list[Clip], settings: Settings) -> dict[str, Any]:
    """Return the size of the run and its noise levels, both as index and as timestep."""
    tokens = {clip.name: clip.tokens for clip in trained}
    micro_steps = [micro_step for steps in segments for step in steps for micro_step in step.micro_steps]
    first, last = timestep_indices(settings)
    return {
        "clips": len(trained),
        "micro_steps": len(micro_steps),
        "total_steps": segments[-1][-1].step,
        "tokens": sum(tokens[micro_step.name] for micro_step in micro_steps),
        "largest_clip_tokens": max(tokens.values()),
        "timesteps": {
            "first_index": first,
            "last_index": last - 1,
            "highest": timestep_at(first, settings.timestep_shift),
            "lowest": timestep_at(last - 1, settings.timestep_shift),
        },
        "segments": [
            {"file": segment_file(number), "first": steps[0].step, "last": steps[-1].step}
            for number, steps in enumerate(segments)
        ],
    }


def costs(segments: list[list[Step]], trained: list[Clip], expert: str) -> dict[str, Any]:
    """Return seconds and peak memory of the whole run, with the released model on the GPU that was measured."""
    model = "ti2v-5b" if expert == "all" else "t2v-a14b"
    tokens = {clip.name: clip.tokens for clip in trained}
    sizes = Counter(tokens[micro_step.name] for steps in segments for step in steps for micro_step in step.micro_steps)
    rows = []
    for recompute in RECOMPUTE:
        found, seconds = estimate(model, max(sizes), recompute), run_seconds(model, dict(sizes), recompute)
        if found is not None and seconds is not None:
            rows.append({"recompute": recompute, "seconds": round(seconds, 3), "peak_gib": round(found.peak_gib, 1)})
    return {"model": model, "gpu": table()["gpu"], "conditions": table()["conditions"], "modes": rows}


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write plan.json, recipe.json and segments/NN.jsonl."""
    if parameters.expert != "all" and parameters.first_frame_probability > 0:
        raise StageError(
            f"first_frame_probability is {parameters.first_frame_probability}, but A14B's expert "
            f"{parameters.expert} is not given first frames in its latents; set it to 0"
        )
    clips = join_clips(read_json(inputs.package / "metadata.json"), inputs.latents, inputs.text)
    trained, held_out, dropped = select_clips(clips, parameters)
    segments = plan_segments(trained, parameters)
    (out / "segments").mkdir()
    for number, steps in enumerate(segments):
        lines = [json.dumps(asdict(step), sort_keys=True, ensure_ascii=False) for step in steps]
        (out / segment_file(number)).write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe: dict[str, Any] = {name: getattr(parameters, name) for name in SHARED_BY_SEGMENTS}
    recipe["held_out"] = [asdict(micro_step) for micro_step in held_out_steps(held_out, parameters)]
    write_json(out / "recipe.json", recipe)
    origin = {"dataset": read_json(inputs.package / "dataset.json")["hash"], "package": content_hash(inputs.package)}
    plan = {
        **origin,
        **summary(segments, trained, parameters),
        "estimate": costs(segments, trained, parameters.expert),
        "dropped": dropped,
        "parameters": asdict(parameters),
    }
    write_json(out / "plan.json", plan)


OUTPUTS = {"plan.json": "plan", "recipe.json": "recipe"}
STAGE = Stage(name="wan22-plan", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
