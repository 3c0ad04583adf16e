"""The stages in a row, by hand: what is done already is kept, what is not is made whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json, write_json
from reelgraph.stage import Stage
from reelgraph.stages import checkpoint, wan22_latents, wan22_plan, wan22_text, wan22_train
from reelgraph.train.by_hand import ARCHITECTURES, Choices, dry_run, read_package
from reelgraph.train.model import describe_model


def train_all(choices: Choices) -> str:
    """Encode, plan, train and write the checkpoints; return the line that says where they are."""
    for line in dry_run(choices):
        print(line, flush=True)
    model = check_model(choices)
    rows, _ = read_package(choices)
    work = choices.output_dir / "work"
    compute = {"device": choices.device, "dtype": "bfloat16" if choices.device.startswith("cuda") else "float32"}
    latents, text = {}, {}
    for episode, own in groupby(sorted(rows, key=lambda row: row["episode"]), key=lambda row: row["episode"]):
        clips, captions = lay_out(work / "episodes" / episode, list(own), choices.training_data_dir)
        inputs = {"clips": clips, "model": model}
        latents[episode] = make(wan22_latents.STAGE, work / "latents" / episode, compute, inputs)
        inputs = {"captions": captions, "model": model}
        text[episode] = make(wan22_text.STAGE, work / "text" / episode, {"trigger": "", **compute}, inputs)
    package = lay_out_package(work / "package", rows, choices.training_data_dir)
    done = [
        train_expert(choices, expert, compute, {"latents": latents, "text": text}, package, model)
        for expert in choices.experts
    ]
    return "done: " + ", ".join(str(path / "lora.safetensors") for path in done)


def train_expert(
    choices: Choices, expert: str, compute: dict[str, str], encoded: dict[str, Any], package: Path, model: Path
) -> Path:
    """Plan and train one expert segment by segment; return its checkpoint's directory."""
    work = choices.output_dir / "work" / expert
    plan = make(wan22_plan.STAGE, work / "plan", asdict(choices.settings(expert)), {"package": package, **encoded})
    segments: dict[str, Path] = {}
    for number in range(choices.epochs):
        # A segment sees its own steps alone, so that more epochs leave the trained ones as they are.
        own = work / "steps" / f"{number:02d}"
        (own / "segments").mkdir(parents=True, exist_ok=True)
        for file in ("recipe.json", f"segments/{number:02d}.jsonl"):
            shutil.copyfile(plan / file, own / file)
        parameters = {
            "segment": number,
            **compute,
            "recompute": "auto",
            "profile": "exact",
            "processes": choices.processes,
        }
        inputs = {"plan": own, "model": model, "previous": segments.get(f"{number - 1:02d}"), **encoded}
        segments[f"{number:02d}"] = make(wan22_train.STAGE, work / "segments" / f"{number:02d}", parameters, inputs)
    name = read_json(package / "dataset.json")["name"]
    credits = {
        "name": name if expert == "all" else f"{name}-{expert}",
        "licence": "unstated",
        "attribution": "unstated",
    }
    inputs = {"segments": segments, "plan": plan, "package": package, "model": model}
    target = choices.output_dir / ("checkpoint" if expert == "all" else expert)
    return make(checkpoint.STAGE, target, credits, inputs)


def check_model(choices: Choices) -> Path:
    """Return the model's folder, or raise a StageError if there is none or it is of another variant."""
    model = choices.wan22_model
    if model is None or not model.is_dir():
        raise StageError(f"--wan22-model {model}: there is no such folder; give the downloaded model, or --dry-run", 3)
    found = describe_model(model)["architecture"]
    if found != ARCHITECTURES[choices.model_variant]:
        raise StageError(
            f"--wan22-model {model}: is {found}, --model-variant is {choices.model_variant}; give one that fits", 2
        )
    if choices.device.startswith("cuda") and not torch.cuda.is_available():
        raise StageError(
            f"--device {choices.device}: no CUDA device is there; run on a machine with one, or --device cpu", 3
        )
    return model


def make(stage: Stage, out: Path, parameters: dict[str, Any], inputs: dict[str, Any]) -> Path:
    """Return a stage's output at ``out``: the one that is there if it was made from the same, or else a new one."""
    given = {name: value for name, value in inputs.items() if value is not None}
    if (out / "stage.json").is_file():
        made = read_json(out / "stage.json")
        hashes = {name: value for name, value in made["inputs"].items() if value is not None}
        if made["parameters"] == parameters and hashes == {name: _hash(value) for name, value in given.items()}:
            return out
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        stage.execute(given, parameters, partial)
        shutil.rmtree(out, ignore_errors=True)
        partial.chmod(0o755)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def lay_out(folder: Path, rows: list[dict[str, Any]], package: Path) -> tuple[Path, Path]:
    """Write an episode of the package as the stages clips and reviewed would have; return both folders."""
    clips, captions = folder / "clips", folder / "captions"
    for part in (clips, captions):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    entries, texts = [], []
    for row in rows:
        file = f"{row['clip']}.mp4"
        os.link(package / row["video"], clips / file) if _same_disk(package, clips) else shutil.copyfile(
            package / row["video"], clips / file
        )
        entries.append({"id": row["clip"], "file": file, "frames": row["frames"]})
        texts.append({"clip": row["clip"], "text": row["prompt"]})
    write_json(clips / "clips.json", {"clips": entries})
    write_json(captions / "captions.json", {"captions": texts})
    return clips, captions


def lay_out_package(folder: Path, rows: list[dict[str, Any]], package: Path) -> Path:
    """Write the package's JSON files with only the rows that are trained on."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "metadata.json", rows)
    shutil.copyfile(package / "dataset.json", folder / "dataset.json")
    return folder


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def _hash(value: Any) -> Any:
    return (
        {key: content_hash(path) for key, path in sorted(value.items())}
        if isinstance(value, dict)
        else content_hash(value)
    )
