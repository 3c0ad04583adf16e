"""A result as `reel diff` reads it: clips, captions, parameters, losses, samples, weights, as far as there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json
from reelgraph.provenance.stamp import read_checkpoint
from reelgraph.report.loss import Losses, read_losses

_CLIP = re.compile(r"^(?P<source>.+)-(?P<start>\d+)-(?P<end>\d+)$")


@dataclass(frozen=True)
class Clip:
    """A clip: its episode ("" where the folder is one episode's), id, frames [start, end) if its id has them, video's
    hash.
    """

    episode: str
    id: str
    start: int | None
    end: int | None
    video: str | None

    @property
    def name(self) -> str:
        """``episode/id``."""
        return f"{self.episode}/{self.id}" if self.episode else self.id


@dataclass
class Result:
    """What was found below a folder; what is not there is empty or None."""

    path: Path
    clips: dict[str, Clip] = field(default_factory=dict)
    captions: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    losses: Losses | None = None
    samples: dict[str, Path] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    weights: Path | None = None

    @property
    def parts(self) -> set[str]:
        """Which of the fields hold something."""
        found = ("clips", "captions", "parameters", "losses", "samples", "weights")
        return {name for name in found if getattr(self, name)}


def read_result(path: Path) -> Result:
    """Read a package, captions, a checkpoint, samples, or a bundle; raise a StageError for anything else."""
    if path.is_file() and path.suffix == ".safetensors":
        return Result(path, weights=path, parameters=_metadata(path))
    result = Result(path)
    if (path / "metadata.json").is_file():
        _read_package(result)
    if (path / "captions.json").is_file():
        _read_captions(result)
    for folder in (path, path / "checkpoint"):
        if (folder / "lora.safetensors").is_file():
            result.weights = folder / "lora.safetensors"
            result.parameters |= _metadata(result.weights)
        if (folder / "loss.jsonl").is_file():
            result.losses = read_losses(folder / "loss.jsonl")
    for folder in (path, path / "samples"):
        if (folder / "samples.json").is_file():
            for sample in read_json(folder / "samples.json")["samples"]:
                result.samples[sample["file"]] = folder / sample["file"]
                result.prompts[sample["file"]] = sample["prompt"]
    if (path / "provenance.json").is_file():
        result.parameters |= {
            stage["name"]: stage["parameters"] for stage in read_json(path / "provenance.json")["stages"]
        }
    elif (path / "stage.json").is_file():
        stage = read_json(path / "stage.json")
        result.parameters |= {stage["stage"]: stage["parameters"]}
    if not result.parts:
        raise StageError(
            f"{path}: is no package, captions, checkpoint, samples or bundle; build one and name its folder", status=2
        )
    return result


def _read_package(result: Result) -> None:
    hashes = read_json(result.path / "stage.json")["files"] if (result.path / "stage.json").is_file() else {}
    for row in read_json(result.path / "metadata.json"):
        video = result.path / row["video"]
        digest = hashes.get(row["video"]) or (file_hash(video) if video.is_file() else None)
        clip = _clip(row["episode"], row["clip"], digest)
        result.clips[clip.name] = clip
        result.captions[clip.name] = row["prompt"]


def _read_captions(result: Result) -> None:
    for caption in read_json(result.path / "captions.json")["captions"]:
        result.clips[caption["clip"]] = Clip("", caption["clip"], caption["start"], caption["end"], None)
        result.captions[caption["clip"]] = caption["text"]


def _clip(episode: str, id: str, video: str | None) -> Clip:
    match = _CLIP.match(id)
    frames = (int(match["start"]), int(match["end"])) if match else (None, None)
    return Clip(episode, id, *frames, video)


def _metadata(path: Path) -> dict[str, Any]:
    return {"checkpoint": {name: _parsed(text) for name, text in read_checkpoint(path).metadata.items()}}


def _parsed(text: str) -> Any:
    """Return the value of metadata that is a JSON object, so that its parts are compared; other text as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, dict) else text
