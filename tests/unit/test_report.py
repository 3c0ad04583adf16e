"""What a reader of the report can rely on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reelgraph.errors import StageError
from reelgraph.files import tree_files, write_json
from reelgraph.report.episodes import spoken_lines
from reelgraph.report.loss import Losses, loss_curve
from reelgraph.report.page import duration, plain
from reelgraph.stages.report import STAGE
from reelgraph.train.video import write_video

PARAMETERS = {"title": "Big Buck Bunny, a test", "attributions": ["(c) Blender Foundation, bigbuckbunny.org, CC BY 3.0"]}
FPS, SHOTS, SHOT_FRAMES, CLIP_FRAMES = 24, 4, 40, 33
HASH = f"sha256:{'0' * 64}"
CAPTION = "A large grey rabbit stands in a green meadow and looks at an orange butterfly on a flower."
LINE = "he was not an ill man"


def finish(directory: Path, stage: str, parameters: Mapping[str, Any] | None = None, **inputs: Any) -> Path:
    """Write the stage.json that the runner would write for what lies in ``directory``."""
    record = {"stage": stage, "parameters": dict(parameters or {}), "inputs": inputs, "files": tree_files(directory)}
    write_json(directory / "stage.json", record)
    return directory


def make_source(directory: Path) -> Path:
    directory.mkdir(parents=True)
    frames = SHOTS * SHOT_FRAMES
    video = {
        "codec": "h264", "width": 1280, "height": 720, "sample_aspect_ratio": "1/1", "fps": FPS, "fps_rational": f"{FPS}/1",
        "frames": frames, "seconds": frames / FPS, "start_seconds": 0, "variable_rate": False,
    }  # fmt: skip
    probe = {"episode": "one", "title": "Big Buck Bunny", "language": "en", "licence": "CC-BY-3.0", "sha256": "1" * 64, "bytes": 9}
    write_json(directory / "probe.json", {**probe, "video": video, "audio": []})
    return finish(directory, "source", master=HASH)


def make_shots(directory: Path) -> Path:
    directory.mkdir(parents=True)
    shots = [{"start": SHOT_FRAMES * shot, "end": SHOT_FRAMES * (shot + 1), "score": 12.5} for shot in range(SHOTS)]
    write_json(directory / "shots.json", {"fps": FPS, "frames": SHOTS * SHOT_FRAMES, "shots": shots})
    return finish(directory, "shots", {"threshold": 3.0}, master=HASH)


def make_clips(directory: Path) -> Path:
    """Every shot but the last gives a clip and a rejected tail; the last is black."""
    (directory / "first_frames").mkdir(parents=True)
    clips, rejects = [], []
    for shot in range(SHOTS - 1):
        start, name = SHOT_FRAMES * shot, f"s{shot:04}c00"
        picture = Image.linear_gradient("L").resize((832, 480))
        Image.merge("RGB", [picture, picture.rotate(90 * shot), Image.new("L", picture.size, 60)]).save(directory / f"first_frames/{name}.png")
        clips.append(
            {"id": name, "file": f"clips/{name}.mp4", "first_frame": f"first_frames/{name}.png", "start": start,
             "end": start + CLIP_FRAMES, "frames": CLIP_FRAMES, "shot": shot}
        )  # fmt: skip
        rejects.append({"start": start + CLIP_FRAMES, "end": start + SHOT_FRAMES, "rule": "remainder", "value": 7, "threshold": 17})
    rejects.append({"start": SHOT_FRAMES * (SHOTS - 1), "end": SHOT_FRAMES * SHOTS, "rule": "black", "value": 4.25, "threshold": 10})
    write_json(directory / "clips.json", {"fps": FPS, "width": 832, "height": 480, "frames": 33, "clips": clips, "rejects": rejects})
    return finish(directory, "clips", {"fps": FPS, "lengths": [17, 33]}, master=HASH)


def make_transcript(directory: Path) -> Path:
    directory.mkdir(parents=True)
    words = [{"start": 0.3 + 0.2 * number, "end": 0.5 + 0.2 * number, "text": f" {word}", "probability": 0.9}
             for number, word in enumerate(LINE.split())]  # fmt: skip
    write_json(directory / "transcript.json", {"segments": [{"start": 0.3, "end": 1.5, "text": LINE, "words": words}], "dropped": []})
    return finish(directory, "transcript-base", {"language": "en"}, master=HASH)


def make_captions(directory: Path, text: str = CAPTION) -> Path:
    directory.mkdir(parents=True)
    captions = [
        {"clip": f"s{shot:04}c00", "start": SHOT_FRAMES * shot, "end": SHOT_FRAMES * shot + CLIP_FRAMES, "text": text,
         "source": "override" if shot == 1 else "training_caption"}
        for shot in range(SHOTS - 1)
    ]  # fmt: skip
    write_json(directory / "captions.json", {"captions": captions})
    return finish(directory, "reviewed", {"minimum_words": 8})


MAKERS = {"source": make_source, "shots": make_shots, "clips": make_clips, "transcript": make_transcript, "captions": make_captions}


def make_dataset(directory: Path) -> dict[str, Path]:
    """Make what comes after the episodes, but the samples, in the layouts of its stages."""
    for name in ("package", "plan", "checkpoint", "model"):
        (directory / name).mkdir(parents=True)
    summary = {"name": "test", "trigger": "", "hash": HASH, "episodes": 1, "clips": 3, "frames": 99, "seconds": 4.125,
               "distinct_prompts": 3, "buckets": [{"width": 832, "height": 480, "frames": 33, "clips": 3}]}  # fmt: skip
    write_json(directory / "package/dataset.json", summary)
    package = finish(directory / "package", "wan22-package", {"name": "test"}, clips={"one": HASH})
    plan = {
        "parameters": {"seed": 7, "epochs": 1, "learning_rate": 2e-5, "lora_rank": 16, "held_out_timesteps": [100, 500]},
        "micro_steps": 80, "total_steps": 20, "dropped": [{"clip": "one/s0002c00", "reason": "held out to measure the loss"}],
        "segments": [{"file": f"segments/{number}.jsonl", "first": 10 * number + 1, "last": 10 * number + 10} for number in range(2)],
    }  # fmt: skip
    write_json(directory / "plan/plan.json", plan)
    losses = [{"step": step, "loss": 0.9 - 0.01 * step + 0.1 * (step % 3), "learning_rate": 2e-5} for step in range(1, 21)]
    (directory / "checkpoint/loss.jsonl").write_text("".join(json.dumps(row) + "\n" for row in losses), encoding="utf-8")
    segments = [{"first": 1, "last": 20, "mean_loss": 0.8, "held_out_loss_before": 1.25, "held_out_loss_after": 1.125}]
    header = {"modelspec.title": "test", "reelgraph.rank": "16"}
    checkpoint = {"metadata": header, "files": {}, "tensors": 2, "parameters": 3072, "largest_b": 0.5, "segments": segments}
    write_json(directory / "checkpoint/checkpoint.json", checkpoint)
    model = {"name": "wan22-tiny", "architecture": "Wan2.2-TI2V-5B", "weights": "random", "description": "For tests."}
    write_json(directory / "model/model.json", model)
    return {
        "package": package,
        "plan": finish(directory / "plan", "wan22-plan", {"seed": 7}),
        "checkpoint": finish(directory / "checkpoint", "checkpoint"),
        "model": finish(directory / "model", "wan22-tiny", {"seed": 22}),
    }


def make_samples(directory: Path, package: Path) -> Path:
    directory.mkdir()
    picture = Image.linear_gradient("L").convert("RGB").resize((128, 96))
    picture.save(directory / "0.png")
    write_video(directory / "1.mp4", [picture.rotate(30 * number) for number in range(9)], fps=8, crf=20)
    picture.save(package / "first.png")
    shape = {"width": 128, "height": 96, "seed": 1}
    samples = [
        {"kind": "text-to-image", "file": "0.png", "prompt": "A meadow.", "frames": 1, "clip": None, "first_frame": None, **shape},
        {"kind": "image-to-video", "file": "1.mp4", "prompt": "A rabbit runs.", "frames": 9, "clip": "one/s0000c00",
         "first_frame": "first.png", **shape},
    ]  # fmt: skip
    write_json(directory / "samples.json", {"samples": samples})
    return finish(directory, "samples", {"steps": 8})


@pytest.fixture(scope="session")
def run_outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Outputs of a small run with one episode, for reading."""
    return make_run(tmp_path_factory.mktemp("run"), ["one"])


def make_run(directory: Path, episodes: list[str]) -> dict[str, Any]:
    """Make the outputs of a small run in the layouts of its stages; return them as the stage's inputs."""
    chains = {part: {name: make(directory / name / part) for name in episodes} for part, make in MAKERS.items()}
    dataset = make_dataset(directory)
    return {**chains, **dataset, "samples": make_samples(directory / "samples", dataset["package"])}
