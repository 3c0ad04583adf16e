"""A small film with sound, its clips and captions, and every LTX-2 stage on them, each made once under its name."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image
from small_films import write_film
from workshop import CLIPS, CPU, EPISODE, FRAMES, StageWorkshop, write_clips
from workshop import PLAN as SHARED_PLAN
from workshop import SAMPLES as SHARED_SAMPLES

from reelgraph.files import read_json, write_json
from reelgraph.stages import (
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
)

SIZE = (128, 96)
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
PLAN = {**SHARED_PLAN, "uniform_probability": 0.1}
SAMPLES = {**SHARED_SAMPLES, "frames": 9}
# Two frames of the film lie between one clip and the next.
GAP = 2


class Workshop(StageWorkshop):
    """The stages from a toy LTX-2 to samples with sound; with ``sound`` False the set is of pictures alone."""

    def __init__(self, root: Path, sound: bool = True) -> None:
        super().__init__(root)
        self.sound = sound

    def model(self) -> Path:
        return self.make("model", ltx2_tiny, TINY)

    def clip_sound(self) -> dict[str, Path]:
        if not self.sound:
            return {}
        inputs = {"master": self.root / "film.mp4", "source": self.root, "clips": self.root / "clips"}
        return {EPISODE: self.make("clip-sound", clip_sound, {}, **inputs)}

    def package(self) -> Path:
        parameters = {"name": "test", "trigger": "", "fps": 24}
        return self.make("package", ltx2_data, parameters, **self.sources(), sound=self.clip_sound())

    def latents(self) -> dict[str, Path]:
        inputs = {"clips": self.root / "clips", "model": self.model()}
        return {EPISODE: self.make("latents", ltx2_video_latents, CPU, **inputs)}

    def sounds(self) -> dict[str, Path]:
        if not self.sound:
            return {}
        inputs = {"sound": self.clip_sound()[EPISODE], "model": self.model()}
        return {EPISODE: self.make("sounds", ltx2_audio_latents, CPU, **inputs)}

    def text(self) -> dict[str, Path]:
        return {EPISODE: self.make("text", ltx2_text, {"trigger": "", **CPU}, **self.captions())}

    def encoded(self) -> dict[str, Any]:
        return {"latents": self.latents(), "sound": self.sounds(), "text": self.text()}

    def preprocess(self) -> Path:
        return self.make("preprocess", ltx2_preprocess, {}, package=self.package(), **self.encoded())

    def plan(self, name: str = "plan", **changes: Any) -> Path:
        return self.make(name, ltx2_plan, {**PLAN, **changes}, package=self.package(), **self.encoded())

    def train(self, name: str, plan: Path, segment: int, previous: Path | None = None, **changes: Any) -> Path:
        parameters = self.segment_parameters(segment, **changes)
        inputs = {"plan": plan, "model": self.model(), **self.encoded()}
        return self.make(name, ltx2_train, parameters, previous=previous, **inputs)

    def samples(self) -> Path:
        inputs = {"checkpoint": self.checkpoint(), "package": self.package(), "model": self.model()}
        return self.make("samples", ltx2_samples, SAMPLES, **inputs)


def write_episode(root: Path, sound: str | None = "tone") -> None:
    """Write film.mp4, and the directories that the stages clips and reviewed would have made of it."""
    film = write_film(root / "film.mp4", [("moving", FRAMES + GAP)] * CLIPS, sound=sound)
    with av.open(str(film)) as container:
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    clips = [pictures[number * (FRAMES + GAP) :][:FRAMES] for number in range(CLIPS)]
    write_clips(root, clips, GAP, write_silent)
    write_json(root / "probe.json", {"sound_stream": 0})


def write_silent(path: Path, pictures: Sequence[Image.Image]) -> None:
    """Write pictures as a clip without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.time_base, stream.options = Fraction(1, 24), {"preset": "ultrafast", "bf": "0"}
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_image(picture)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def change_json(path: Path, change: Any) -> None:
    """Apply ``change`` to the value of a JSON file."""
    value = read_json(path)
    change(value)
    write_json(path, value)
