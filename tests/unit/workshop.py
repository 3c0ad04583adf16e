"""Small clips and captions of one episode, and the outputs of the training stages on them, each made once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from reelgraph.determinism import FIXED_ENVIRONMENT
from reelgraph.files import write_json
from reelgraph.stages import checkpoint, wan22_package

EPISODE, FRAMES, CLIPS = "ep", 17, 5
CPU = {"device": "cpu", "dtype": "float32"}
# What both models' plans are told.
PLAN = {
    "seed": 3,
    "epochs": 1,
    "dataset_repeat": 4,
    "gradient_accumulation": 2,
    "segments_per_epoch": 3,
    "learning_rate": 1e-3,
    "warmup_steps": 2,
    "weight_decay": 0.01,
    "gradient_clip": 1.0,
    "lora_rank": 4,
    "first_frame_probability": 0.5,
    "token_limit": 0,
    "held_out_shots": 1,
    "held_out_timesteps": [200, 800],
}
# A stage that tells its progress twenty times a second.
OFTEN = (
    "import runpy; from reelgraph import progress; progress.INTERVAL_SECONDS = 0.05; "
    "runpy.run_module('{module}', run_name='__main__', alter_sys=True)"
)
CREDITS = {"name": "test lora", "licence": "CC BY 3.0", "attribution": "The painters"}
# What both models' samples are told.
SAMPLES = {
    "text_to_video": ["A hill moves."],
    "image_to_video": [""],
    "negative_prompt": "",
    "seed": 1,
    "steps": 2,
    "guidance": 2.0,
    "width": 64,
    "height": 64,
    "fps": 24,
    **CPU,
}


def make(out: Path, module: ModuleType, parameters: dict[str, Any], **inputs: Any) -> Path:
    """Run a stage into ``out``, with the inputs that are not None."""
    out.mkdir(parents=True)
    given = {name: value for name, value in inputs.items() if value is not None}
    module.STAGE.execute(given, parameters, out)
    return out


def start(
    module: ModuleType, folder: Path, parameters: dict[str, Any], inputs: dict[str, Any]
) -> subprocess.Popen[str]:
    """Start a stage as a command that writes to ``folder``/out; all that it says, and often, is on its ``stdout``."""
    write_json(folder / "parameters.json", parameters)
    command = [sys.executable, "-u", "-c", OFTEN.format(module=module.__name__), "--output", str(folder / "out")]
    command += ["--parameters", str(folder / "parameters.json")]
    for name, path in inputs.items():
        paths = {f"{name}.{EPISODE}": path[EPISODE]} if isinstance(path, dict) else {name: path}
        command += [part for pair in paths.items() for part in ("--input", "=".join(map(str, pair)))]
    # In the fixed environment from the start, the command need not start itself again.
    modules = os.pathsep.join(filter(None, [str(Path(module.__file__ or "").parents[2]), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **FIXED_ENVIRONMENT, "PYTHONPATH": modules}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


class StageWorkshop:
    """Directories of stage outputs, each made once under its name; a model's own workshop says how."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.made: dict[str, Path] = {}

    def make(self, name: str, module: ModuleType, parameters: dict[str, Any], **inputs: Any) -> Path:
        if name not in self.made:
            self.made[name] = make(self.root / name, module, parameters, **inputs)
        return self.made[name]

    def model(self) -> Path:
        raise NotImplementedError

    def package(self) -> Path:
        raise NotImplementedError

    def plan(self, name: str = "plan", **changes: Any) -> Path:
        raise NotImplementedError

    def train(self, name: str, plan: Path, segment: int, previous: Path | None = None, **changes: Any) -> Path:
        raise NotImplementedError

    def sources(self) -> dict[str, Any]:
        return {"clips": {EPISODE: self.root / "clips"}, "captions": {EPISODE: self.root / "reviewed"}}

    def wan_package(self, name: str) -> Path:
        parameters = {"name": "test", "trigger": "", "fps": 24, "side_multiple": 32}
        return self.make(name, wan22_package, parameters, **self.sources())

    def captions(self) -> dict[str, Path]:
        return {"captions": self.root / "reviewed", "model": self.model()}

    def segment_parameters(self, segment: int, **changes: Any) -> dict[str, Any]:
        return {"segment": segment, **CPU, "recompute": "none", "profile": "exact", "processes": 1, **changes}

    def segments(self) -> dict[str, Path]:
        chain: dict[str, Path] = {}
        for number in range(PLAN["segments_per_epoch"]):
            previous = chain.get(f"{number - 1:02d}")
            chain[f"{number:02d}"] = self.train(f"segment-{number}", self.plan(), number, previous)
        return chain

    def checkpoint(self) -> Path:
        inputs = {"plan": self.plan(), "package": self.package(), "model": self.model()}
        return self.make("checkpoint", checkpoint, CREDITS, segments=self.segments(), **inputs)


def write_clips(
    root: Path, clips: Sequence[Sequence[Image.Image]], gap: int, write: Callable[[Path, Sequence[Image.Image]], None]
) -> None:
    """Write the directories that the stages clips and reviewed would have made, two of the clips with one caption.

    ``gap`` frames lie between one clip and the next; ``write`` writes the file of a clip.
    """
    for folder in ("clips/clips", "clips/first_frames", "reviewed"):
        (root / folder).mkdir(parents=True)
    entries, captions = [], []
    for number, pictures in enumerate(clips):
        start = number * (FRAMES + gap)
        name, span = f"clip-{number}", {"start": start, "end": start + FRAMES}
        write(root / "clips" / "clips" / f"{name}.mp4", pictures)
        pictures[0].save(root / "clips" / "first_frames" / f"{name}.png")
        files = {"file": f"clips/{name}.mp4", "first_frame": f"first_frames/{name}.png"}
        entries.append({"id": name, **files, **span, "frames": FRAMES, "shot": number})
        text = f"A hill  turns,\n scene {min(number, 3)}."
        captions.append({"clip": name, **span, "text": text, "source": "training_caption"})
    width, height = clips[0][0].size
    size = {"fps": 24, "width": width, "height": height, "frames": len(clips) * (FRAMES + gap)}
    write_json(root / "clips" / "clips.json", {**size, "clips": entries, "rejects": []})
    write_json(root / "reviewed" / "captions.json", {"captions": captions})
