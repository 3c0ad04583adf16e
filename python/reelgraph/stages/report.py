"""Lay out one page for people: every clip with its caption, every reject with its rule, the loss, the samples, and what
was built from what."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.files import read_json
from reelgraph.progress import progress
from reelgraph.report.episodes import Clip, Episode, caption_sources, read_episodes, rejects_by_rule
from reelgraph.report.loss import loss_curve, read_losses
from reelgraph.report.page import render
from reelgraph.report.pictures import thumbnail
from reelgraph.report.provenance import Record, read_record
from reelgraph.report.samples import read_samples
from reelgraph.stage import Stage

THUMBNAIL_WIDTH = 192
MOST_OPEN_EPISODES = 3


@dataclass(frozen=True)
class Inputs:
    """Outputs of the stages that the page shows, some of them one an episode; the model may be a plain directory."""

    source: dict[str, Path]
    shots: dict[str, Path]
    clips: dict[str, Path]
    transcript: dict[str, Path]
    captions: dict[str, Path]
    package: Path
    plan: Path
    checkpoint: Path
    samples: Path
    model: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/report.parameters.json."""

    title: str
    attributions: list[str]


def read_records(inputs: Inputs) -> dict[str, list[Record]]:
    """Return the records of the dataset's stages, then of each episode's, under the headings of the page."""
    dataset = {name: getattr(inputs, name) for name in ("model", "package", "plan", "checkpoint", "samples")}
    # A released model is files that no stage made; the records of its readers hold its hash.
    made = {name: path for name, path in dataset.items() if name != "model" or (path / "stage.json").is_file()}
    parts = (inputs.source, inputs.shots, inputs.clips, inputs.transcript, inputs.captions)
    return {
        "Dataset, training, samples": [read_record(name, path) for name, path in made.items()],
        **{episode: [read_record(episode, part[episode]) for part in parts] for episode in inputs.clips},
    }


def parameter_sets(groups: Mapping[str, Sequence[Record]]) -> list[tuple[str, list[str], Mapping[str, Any]]]:
    """Return (stage, groups, parameters) for each different set of parameters that a stage was run with, by stage."""
    sets: dict[tuple[str, str], list[str]] = {}
    for group, records in groups.items():
        for record in records:
            sets.setdefault((record.stage, json.dumps(record.parameters, sort_keys=True)), []).append(group)
    return [(stage, names, json.loads(parameters)) for (stage, parameters), names in sorted(sets.items())]


def view(inputs: Inputs, parameters: Parameters, episodes: Sequence[Episode]) -> dict[str, Any]:
    """Return what the template names, but for the clips' pictures."""
    plan, losses = read_json(inputs.plan / "plan.json"), read_losses(inputs.checkpoint / "loss.jsonl")
    groups = read_records(inputs)
    return {
        "title": parameters.title,
        "attributions": parameters.attributions,
        "model": read_json(inputs.model / "model.json"),
        "dataset": read_json(inputs.package / "dataset.json"),
        "plan": plan,
        "checkpoint": read_json(inputs.checkpoint / "checkpoint.json"),
        "losses": losses,
        "curve": loss_curve(losses, [segment["last"] for segment in plan["segments"][:-1]]),
        "samples": read_samples(inputs.samples, inputs.package, THUMBNAIL_WIDTH),
        "episodes": episodes,
        "collapse": len(episodes) > MOST_OPEN_EPISODES,
        "captions": caption_sources(episodes),
        "clip_count": sum(len(episode.clips) for episode in episodes),
        "total_frames": sum(episode.frames for episode in episodes),
        "total_seconds": sum(episode.frames / episode.fps for episode in episodes),
        "kept_frames": sum(episode.kept for episode in episodes),
        "rejected": rejects_by_rule(episodes),
        "untrained": {entry["clip"]: entry["reason"] for entry in plan["dropped"]},
        "groups": groups,
        "makers": {record.content: record for records in groups.values() for record in records},
        "parameter_sets": parameter_sets(groups),
    }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write index.html."""
    episodes = read_episodes(inputs.source, inputs.shots, inputs.clips, inputs.transcript, inputs.captions)
    page = view(inputs, parameters, episodes)
    with progress("report", page["clip_count"], "clip") as counter:

        def picture(episode: Episode, clip: Clip) -> str:
            counter.advance()
            return thumbnail(clip.picture, f"{episode.name}: first frame of clip '{clip.id}'", THUMBNAIL_WIDTH)

        with (out / "index.html").open("w", encoding="utf-8") as file:
            file.writelines(render({**page, "picture": picture}))


STAGE = Stage(name="report", inputs=Inputs, parameters=Parameters, outputs={}, run=run)

if __name__ == "__main__":
    STAGE.main()
