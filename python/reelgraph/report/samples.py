"""The samples of a checkpoint, whatever kinds there are: pictures and videos with what they were drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av.video.reformatter import Interpolation
from PIL import Image

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.media.frames import open_media, video_stream
from reelgraph.report.pictures import data_address, jpeg_address, thumbnail

MEDIA_TYPES = {".png": "image/png", ".mp4": "video/mp4"}
POSTER_WIDTH = 640
# Without the last two flags the conversion from YUV rounds as the CPU's vector unit likes.
CONVERSION = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


@dataclass(frozen=True)
class Sample:
    """A sample as the page shows it: ``entry`` of samples.json, and pictures as addresses.

    ``poster`` is a video's first frame, ``given`` the frame it was drawn from, ``base`` the same drawn without
    the LoRA and ``base_poster`` its first frame; all may be None.
    """

    entry: Mapping[str, Any]
    address: str
    poster: str | None
    given: str | None
    base: str | None = None
    base_poster: str | None = None


def poster(path: Path) -> str:
    """Return the first frame of a video as JPEG, or raise a StageError that names the file."""
    with open_media(path) as container:
        for frame in container.decode(video_stream(container, path)):
            pixels = frame.to_ndarray(format="rgb24", interpolation=CONVERSION, threads=1)
            return jpeg_address(Image.fromarray(pixels), POSTER_WIDTH)
    raise StageError(f"{path.name}: holds no frame; build the samples again")


def read_samples(directory: Path, package: Path, width: int) -> Iterator[Sample]:
    """Yield what samples.json lists, given frames at most ``width`` wide; a file it cannot show is a StageError."""
    for entry in read_json(directory / "samples.json")["samples"]:
        path = directory / entry["file"]
        if not path.is_file():
            raise StageError(f"sample '{entry['file']}': there is no such file; build the samples again")
        if path.suffix not in MEDIA_TYPES:
            raise StageError(
                f"sample '{entry['file']}': the page can show {' and '.join(MEDIA_TYPES)}; leave others out"
            )
        given, base = entry["first_frame"], directory / entry.get("base_file", "")
        yield Sample(
            entry=entry,
            address=data_address(MEDIA_TYPES[path.suffix], path.read_bytes()),
            poster=poster(path) if path.suffix == ".mp4" else None,
            given=thumbnail(package / given, f"first frame of sample '{entry['file']}'", width) if given else None,
            base=data_address(MEDIA_TYPES[path.suffix], base.read_bytes()) if base.is_file() else None,
            base_poster=poster(base) if base.is_file() and path.suffix == ".mp4" else None,
        )
