"""The samples of a checkpoint, whatever kinds there are: pictures and videos with the prompts they were drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.report.pictures import data_address, jpeg_address
from reelgraph.train.video import read_frames

MEDIA_TYPES = {".png": "image/png", ".mp4": "video/mp4"}
POSTER_WIDTH = 640


@dataclass(frozen=True)
class Sample:
    """A sample as the page shows it; ``poster`` is a video's first frame and None for a picture."""

    kind: str
    prompt: str
    settings: Mapping[str, Any]
    address: str
    poster: str | None


def read_samples(directory: Path) -> Iterator[Sample]:
    """Yield the samples that samples.json lists, or raise a StageError that names one whose file is missing or unknown."""
    for entry in read_json(directory / "samples.json")["samples"]:
        path = directory / entry["file"]
        if not path.is_file():
            raise StageError(f"sample '{entry['file']}': there is no such file; build the samples again")
        if path.suffix not in MEDIA_TYPES:
            raise StageError(f"sample '{entry['file']}': is none of {', '.join(MEDIA_TYPES)}; the page cannot show it")
        yield Sample(
            kind=entry["kind"],
            prompt=entry["prompt"],
            settings={name: value for name, value in entry.items() if name not in ("file", "kind", "prompt")},
            address=data_address(MEDIA_TYPES[path.suffix], path.read_bytes()),
            poster=jpeg_address(next(read_frames(path)), POSTER_WIDTH) if path.suffix == ".mp4" else None,
        )
