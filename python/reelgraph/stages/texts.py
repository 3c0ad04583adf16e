"""Read what is written in the picture: titles, credits, logos; a few looks at each shot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from reelgraph.files import read_json, write_json
from reelgraph.media.frames import SCALE_FINE, decoded_frames, open_media, picture_filter, video_stream
from reelgraph.media.texts import read_texts
from reelgraph.progress import progress
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """A media file, and the directories with its probe.json and its shots.json."""

    master: Path
    source: Path
    shots: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/texts.parameters.json."""

    looks_per_shot: int
    seconds_between_looks: float
    width: int


def looks(start: int, end: int, fps: float, parameters: Parameters) -> Iterator[tuple[int, int]]:
    """Yield the half-open ranges of a shot that one look each stands for; the look is at the middle."""
    count = max(parameters.looks_per_shot, round((end - start) / fps / parameters.seconds_between_looks))
    bounds = [start + (end - start) * number // count for number in range(count + 1)]
    yield from ((first, last) for first, last in pairwise(bounds) if first < last)


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write texts.json."""
    total = read_json(inputs.source / "probe.json")["video"]["frames"]
    found = read_json(inputs.shots / "shots.json")
    ranges = [look for shot in found["shots"] for look in looks(shot["start"], shot["end"], found["fps"], parameters)]
    wanted = {(start + end) // 2: (start, end) for start, end in ranges}
    samples = []
    with open_media(inputs.master) as container, progress("texts", len(wanted), "look") as counter:
        stream = video_stream(container, inputs.master)
        width = min(parameters.width, stream.width)
        size = f"{width}:{max(1, round(stream.height * width / stream.width))}:{SCALE_FINE}"
        shrink = picture_filter(stream, ("scale", size), ("format", "bgr24"))
        for number, frame in enumerate(decoded_frames(inputs.master, total)):
            if number in wanted:
                boxes = read_texts(shrink(frame).to_ndarray())
                start, end = wanted[number]
                area = round(sum(box["width"] * box["height"] for box in boxes), 4)
                samples.append({"frame": number, "start": start, "end": end, "boxes": boxes, "area": area})
                counter.advance()
    write_json(out / "texts.json", {"frames": total, "samples": samples})


STAGE = Stage(name="texts", inputs=Inputs, parameters=Parameters, outputs={"texts.json": "texts"}, run=run)

if __name__ == "__main__":
    STAGE.main()
