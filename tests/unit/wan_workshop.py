"""Five painted clips, and every Wan2.2 stage on them, each made once under its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image
from workshop import CLIPS, CPU, EPISODE, FRAMES, StageWorkshop, write_clips
from workshop import PLAN as SHARED_PLAN
from workshop import SAMPLES as SHARED_SAMPLES

from reelgraph.stages import wan22_latents, wan22_plan, wan22_text, wan22_tiny, wan22_train
from reelgraph.train.video import write_video

SIZE = (64, 64)
TINY = {
    "architecture": "Wan2.2-TI2V-5B",
    "seed": 1,
    "dit_dim": 24,
    "dit_ffn_dim": 48,
    "dit_heads": 2,
    "dit_layers": 2,
    "text_dim": 16,
    "text_heads": 2,
    "text_layers": 1,
    "vae_dim": 4,
}
SCALE = {"timestep_shift": 5.0, "expert": "all", "timestep_minimum": 0.0, "timestep_maximum": 1.0}
PLAN = {**SHARED_PLAN, **SCALE}
SAMPLES = {**SHARED_SAMPLES, "text_to_image": ["A hill."], "frames": 5}


class Workshop(StageWorkshop):
    """The stages from a toy Wan2.2 to a checkpoint."""

    def model(self) -> Path:
        return self.make("model", wan22_tiny, TINY)

    def package(self) -> Path:
        return self.wan_package("package")

    def latents(self) -> dict[str, Path]:
        return {EPISODE: self.make("latents", wan22_latents, CPU, clips=self.root / "clips", model=self.model())}

    def text(self) -> dict[str, Path]:
        return {EPISODE: self.make("text", wan22_text, {"trigger": "", **CPU}, **self.captions())}

    def plan(self, name: str = "plan", **changes: Any) -> Path:
        inputs = {"package": self.package(), "latents": self.latents(), "text": self.text()}
        return self.make(name, wan22_plan, {**PLAN, **changes}, **inputs)

    def train(self, name: str, plan: Path, segment: int, previous: Path | None = None, **changes: Any) -> Path:
        parameters = self.segment_parameters(segment, **changes)
        return self.make(name, wan22_train, parameters, previous=previous, **self.training_inputs(plan))

    def training_inputs(self, plan: Path) -> dict[str, Any]:
        return {"plan": plan, "latents": self.latents(), "text": self.text(), "model": self.model()}


def picture(clip: int, frame: int) -> Image.Image:
    """Paint a frame of a clip."""
    image = Image.linear_gradient("L").resize(SIZE).rotate(40 * clip + 2 * frame)
    return Image.merge("RGB", (image, image.rotate(90), Image.new("L", SIZE, 60 * clip)))


def write_episode(root: Path) -> None:
    """Write five clips of 17 frames at 64x64 with their captions."""
    clips = [[picture(number, frame) for frame in range(FRAMES)] for number in range(CLIPS)]
    write_clips(root, clips, 0, lambda path, pictures: write_video(path, pictures, fps=24, crf=16))
