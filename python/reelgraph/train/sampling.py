"""What to draw with a checkpoint and how it is listed, whatever the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import write_json


@dataclass(frozen=True)
class SampleParameters:
    """What every samples stage is told; units in schemas/samples.parameters.json."""

    text_to_video: list[str]
    image_to_video: list[str]
    negative_prompt: str
    seed: int
    steps: int
    guidance: float
    frames: int
    width: int
    height: int
    fps: int
    device: str
    dtype: str


@dataclass(frozen=True)
class Sample:
    """One thing to draw; ``first_frame`` is a picture of the package, relative."""

    file: str
    kind: str
    prompt: str
    frames: int
    clip: str | None = None
    first_frame: str | None = None


def list_videos(parameters: SampleParameters, rows: Sequence[Mapping[str, Any]]) -> list[Sample]:
    """Return the videos to draw, in order; raise a StageError naming a clip that the package does not have."""
    samples = [
        Sample(f"text-to-video-{n}.mp4", "text-to-video", p, parameters.frames)
        for n, p in enumerate(parameters.text_to_video)
    ]
    clips = {f"{row['episode']}/{row['clip']}": row for row in rows}
    for number, clip in enumerate(parameters.image_to_video):
        # An empty name stands for the first clip: a pipeline cannot know the names of clips before they are cut.
        name = clip or next(iter(clips))
        if name not in clips:
            raise StageError(f"image_to_video: the package has no clip {name}; take one like {next(iter(clips))}")
        row, file = clips[name], f"image-to-video-{number}.mp4"
        samples.append(Sample(file, "image-to-video", row["prompt"], parameters.frames, name, row["first_frame"]))
    return samples


def write_index(
    samples: Sequence[Sample], parameters: SampleParameters, model: Mapping[str, Any], out: Path, **columns: Any
) -> None:
    """Write samples.json; ``columns`` are the same for every sample."""
    rows = [
        {
            "file": sample.file,
            "base_file": f"base-{sample.file}",
            "kind": sample.kind,
            "prompt": sample.prompt,
            "frames": sample.frames,
            "width": parameters.width,
            "height": parameters.height,
            "seed": parameters.seed,
            "clip": sample.clip,
            "first_frame": sample.first_frame,
            **columns,
        }
        for sample in samples
    ]
    write_json(out / "samples.json", {"base_model": model["name"], "weights": model["weights"], "samples": rows})
