"""A small film with sound, its clips and captions, and every LTX-2 stage on them, each made once under its name."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
from small_films import write_film

from reelgraph.files import read_json, write_json
from reelgraph.stages import (
    checkpoint,
    clip_sound,
    ltx2_audio_latents,
    ltx2_data,
    ltx2_plan,
    ltx2_preprocess,
    ltx2_samples,
    ltx2_text,
    ltx2_tiny,
    ltx2_train,
    ltx2_video_latents,
    wan22_package,
)

EPISODE, FRAMES, SIZE = "ep", 17, (128, 96)
CPU = {"device": "cpu", "dtype": "float32"}
TINY = {
    "seed": 1,
    "dit_heads": 2,
    "dit_head_dim": 8,
    "dit_audio_head_dim": 4,
    "dit_layers": 2,
    "text_dim": 16,
    "text_heads": 2,
    "text_layers": 2,
    "vae_dim": 4,
    "audio_dim": 4,
    "vocoder_dim": 32,
}
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
    "uniform_probability": 0.1,
    "token_limit": 0,
    "held_out_shots": 1,
    "held_out_timesteps": [200, 800],
}
CREDITS = {"name": "test lora", "licence": "CC BY 3.0", "attribution": "The painters"}
SAMPLES = {
    "text_to_video": ["A hill moves."],
    "image_to_video": [""],
    "negative_prompt": "",
    "seed": 1,
    "steps": 2,
    "guidance": 2.0,
    "frames": 9,
    "width": 64,
    "height": 64,
    "fps": 24,
    **CPU,
}
CLIPS = 5
# Two frames of the film lie between one clip and the next.
GAP = 2


def make(out: Path, module: ModuleType, parameters: dict[str, Any], **inputs: Any) -> Path:
    """Run a stage into ``out``, with the inputs that are not None."""
    out.mkdir(parents=True)
    given = {name: value for name, value in inputs.items() if value is not None}
    module.STAGE.execute(given, parameters, out)
    return out


class Workshop:
    """Directories of stage outputs; with ``sound`` False the set is of pictures alone."""

    def __init__(self, root: Path, sound: bool = True) -> None:
        self.root, self.sound = root, sound
        self.made: dict[str, Path] = {}

    def make(self, name: str, module: ModuleType, parameters: dict[str, Any], **inputs: Any) -> Path:
        if name not in self.made:
            self.made[name] = make(self.root / name, module, parameters, **inputs)
        return self.made[name]

    def model(self) -> Path:
        return self.make("model", ltx2_tiny, TINY)

    def clip_sound(self) -> dict[str, Path]:
        if not self.sound:
            return {}
        inputs = {"master": self.root / "film.mp4", "clips": self.root / "clips"}
        return {EPISODE: self.make("clip-sound", clip_sound, {}, **inputs)}

    def sources(self) -> dict[str, Any]:
        return {"clips": {EPISODE: self.root / "clips"}, "captions": {EPISODE: self.root / "reviewed"}}

    def package(self) -> Path:
        parameters = {"name": "test", "trigger": "", "fps": 24}
        return self.make("package", ltx2_data, parameters, **self.sources(), sound=self.clip_sound())

    def wan_package(self) -> Path:
        parameters = {"name": "test", "trigger": "", "fps": 24, "side_multiple": 32}
        return self.make("wan-package", wan22_package, parameters, **self.sources())

    def latents(self) -> dict[str, Path]:
        inputs = {"clips": self.root / "clips", "model": self.model()}
        return {EPISODE: self.make("latents", ltx2_video_latents, CPU, **inputs)}

    def sounds(self) -> dict[str, Path]:
        if not self.sound:
            return {}
        inputs = {"sound": self.clip_sound()[EPISODE], "model": self.model()}
        return {EPISODE: self.make("sounds", ltx2_audio_latents, CPU, **inputs)}

    def text(self) -> dict[str, Path]:
        inputs = {"captions": self.root / "reviewed", "model": self.model()}
        return {EPISODE: self.make("text", ltx2_text, {"trigger": "", **CPU}, **inputs)}

    def encoded(self) -> dict[str, Any]:
        return {"latents": self.latents(), "sound": self.sounds(), "text": self.text()}

    def preprocess(self) -> Path:
        return self.make("preprocess", ltx2_preprocess, {}, package=self.package(), **self.encoded())

    def plan(self, name: str = "plan", **changes: Any) -> Path:
        return self.make(name, ltx2_plan, {**PLAN, **changes}, package=self.package(), **self.encoded())

    def train(self, name: str, plan: Path, segment: int, previous: Path | None = None, **changes: Any) -> Path:
        parameters = {"segment": segment, **CPU, "recompute": "none", "profile": "exact", "processes": 1, **changes}
        inputs = {"plan": plan, "model": self.model(), **self.encoded()}
        return self.make(name, ltx2_train, parameters, previous=previous, **inputs)

    def segments(self) -> dict[str, Path]:
        chain: dict[str, Path] = {}
        for number in range(PLAN["segments_per_epoch"]):
            previous = chain.get(f"{number - 1:02d}")
            chain[f"{number:02d}"] = self.train(f"segment-{number}", self.plan(), number, previous)
        return chain

    def checkpoint(self) -> Path:
        inputs = {"plan": self.plan(), "package": self.package(), "model": self.model()}
        return self.make("checkpoint", checkpoint, CREDITS, segments=self.segments(), **inputs)

    def samples(self) -> Path:
        inputs = {"checkpoint": self.checkpoint(), "package": self.package(), "model": self.model()}
        return self.make("samples", ltx2_samples, SAMPLES, **inputs)


def write_episode(root: Path, sound: str | None = "tone") -> None:
    """Write film.mp4, and the directories that the stages clips and reviewed would have made of it."""
    film = write_film(root / "film.mp4", [("moving", FRAMES + GAP)] * CLIPS, sound=sound)
    with av.open(str(film)) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    for folder in ("clips/clips", "clips/first_frames", "reviewed"):
        (root / folder).mkdir(parents=True)
    clips, captions = [], []
    for number in range(CLIPS):
        start = number * (FRAMES + GAP)
        span = {"start": start, "end": start + FRAMES}
        name = f"clip-{number}"
        write_silent(root / "clips" / "clips" / f"{name}.mp4", [np.asarray(p) for p in pictures[start : span["end"]]])
        pictures[start].save(root / "clips" / "first_frames" / f"{name}.png")
        files = {"file": f"clips/{name}.mp4", "first_frame": f"first_frames/{name}.png"}
        clips.append({"id": name, **files, **span, "frames": FRAMES, "shot": number})
        text = f"A hill  turns,\n scene {min(number, 3)}."
        captions.append({"clip": name, **span, "text": text, "source": "training_caption"})
    index = {"fps": 24, "width": SIZE[0], "height": SIZE[1], "frames": len(pictures), "clips": clips, "rejects": []}
    write_json(root / "clips" / "clips.json", index)
    write_json(root / "reviewed" / "captions.json", {"captions": captions})


def write_silent(path: Path, pictures: Sequence[np.ndarray]) -> None:
    """Write RGB pictures as a clip without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base, stream.options = Fraction(1, 24), {"preset": "ultrafast", "bf": "0"}
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def change_json(path: Path, change: Any) -> None:
    """Apply ``change`` to the value of a JSON file."""
    value = read_json(path)
    change(value)
    write_json(path, value)
