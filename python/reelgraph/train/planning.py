"""From clips to a written plan, whatever the model: what is trained on, every step, and the summary for readers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json, write_json
from reelgraph.train.estimates import RECOMPUTE, estimate, run_seconds, table
from reelgraph.train.plan import Step, segment_file
from reelgraph.train.schedule import (
    Clip,
    DrawIndex,
    Settings,
    held_out_shots,
    held_out_steps,
    plan_segments,
    timestep_at,
    timestep_indices,
    uniform_index,
)

SHARED_BY_SEGMENTS = ("seed", "gradient_clip", "weight_decay", "lora_rank", "timestep_shift", "expert")


def embedded_prompts(text: Mapping[str, Path]) -> set[tuple[str, str]]:
    """Return the (episode, prompt) pairs that have an embedding."""
    return {
        (episode, entry["prompt"])
        for episode, path in text.items()
        for entry in read_json(path / "text.json")["prompts"]
    }


def encoded_clips(episodes: Mapping[str, Path], key: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the entries ``key`` of each episode's ``<key>.json`` by (episode, clip)."""
    return {
        (episode, entry["clip"]): entry
        for episode, path in episodes.items()
        for entry in read_json(path / f"{key}.json")[key]
    }


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


def costs(segments: list[list[Step]], trained: list[Clip], model: str) -> dict[str, Any]:
    """Return seconds and peak memory of the whole run, with the released ``model`` on the GPU that was measured."""
    tokens = {clip.name: clip.tokens for clip in trained}
    sizes = Counter(tokens[micro_step.name] for steps in segments for step in steps for micro_step in step.micro_steps)
    rows = []
    for recompute in RECOMPUTE:
        found, seconds = estimate(model, max(sizes), recompute), run_seconds(model, dict(sizes), recompute)
        if found is not None and seconds is not None:
            rows.append({"recompute": recompute, "seconds": round(seconds, 3), "peak_gib": round(found.peak_gib, 1)})
    return {"model": model, "gpu": table()["gpu"], "conditions": table()["conditions"], "modes": rows}


def write_plan(
    package: Path,
    clips: list[Clip],
    settings: Settings,
    model: str,
    out: Path,
    draw_index: DrawIndex = uniform_index,
) -> None:
    """Write plan.json, recipe.json and segments/NN.jsonl; ``parameters`` of plan.json are the settings as they are."""
    trained, held_out, dropped = select_clips(clips, settings)
    segments = plan_segments(trained, settings, draw_index)
    (out / "segments").mkdir()
    for number, steps in enumerate(segments):
        lines = [json.dumps(asdict(step), sort_keys=True, ensure_ascii=False) for step in steps]
        (out / segment_file(number)).write_text("\n".join(lines) + "\n", encoding="utf-8")
    recipe: dict[str, Any] = {name: getattr(settings, name) for name in SHARED_BY_SEGMENTS}
    recipe["held_out"] = [asdict(micro_step) for micro_step in held_out_steps(held_out, settings)]
    write_json(out / "recipe.json", recipe)
    origin = {"dataset": read_json(package / "dataset.json")["hash"], "package": content_hash(package)}
    plan = {
        **origin,
        **summary(segments, trained, settings),
        "estimate": costs(segments, trained, model),
        "dropped": dropped,
        "parameters": asdict(settings),
    }
    write_json(out / "plan.json", plan)
