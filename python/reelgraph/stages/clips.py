"""Cut frame-exact clips and their first frames; every frame is in one clip or rejected by one named rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.media.ahead import ahead
from reelgraph.media.clip_file import ClipFormat, write_clip, write_first_frame
from reelgraph.media.frames import (
    cover_and_crop,
    decoded_frames,
    open_media,
    pick,
    picture_filter,
    presentation_times,
    video_stream,
)
from reelgraph.media.overrides import read_overrides
from reelgraph.media.plan import Clip, Frames, Marks, Reject, Rules, Timeline, Writing, plan
from reelgraph.media.tags import Look, find_logo
from reelgraph.progress import track
from reelgraph.stage import Stage

SIDE_MULTIPLE = 32  # of the models' video autoencoders
FRAME_STEP = 8  # LTX-2 needs 8n + 1 frames; Wan, which needs 4n + 1, takes them too
PICTURES_AHEAD = 32  # so that there is work while the encoder empties itself at the end of a clip


@dataclass(frozen=True)
class Inputs:
    """A media file, the directories with its probe.json, shots.json and texts.json, and a person's corrections."""

    master: Path
    source: Path
    shots: Path
    texts: Path | None = None
    overrides: Path | None = None


@dataclass(frozen=True)
class Parameters:
    """See schemas/clips.parameters.json."""

    fps: int
    width: int
    height: int
    frame_counts: list[int]
    trim_frames: int
    black_luma: float
    repeat_change: float
    still_share: float
    text_boxes: int
    text_area: float
    tag_repeats: float
    tag_blur_percentile: float
    crf: int
    preset: str


def check(parameters: Parameters) -> None:
    """Raise a StageError where the models could not take such clips."""
    for name, side in (("width", parameters.width), ("height", parameters.height)):
        if side % SIDE_MULTIPLE:
            raise StageError(f"{name}: {side} is not a multiple of {SIDE_MULTIPLE}; choose one that is")
    for count in parameters.frame_counts:
        if count % FRAME_STEP != 1:
            raise StageError(f"frame_counts: {count} is not {FRAME_STEP}n + 1; choose from 17, 25, 33, 49, 81, ...")
    if parameters.frame_counts != sorted(set(parameters.frame_counts)):
        raise StageError(f"frame_counts: {parameters.frame_counts} do not ascend; sort them")


def texts_of(inputs: Inputs) -> tuple[list[dict[str, Any]], str | None]:
    """Return the looks at the film's writing, and the text that is its logo."""
    samples = read_json(inputs.texts / "texts.json")["samples"] if inputs.texts else []
    return samples, find_logo(samples)


def marks(inputs: Inputs, found: Mapping[str, Any], sha256: str, total: int) -> Marks:
    """Return what transitions, texts and a person's corrections say of the frames."""
    changes = [(change["start"], change["end"]) for change in found["transitions"]]
    samples, logo = texts_of(inputs)
    written = []
    for sample in samples:
        boxes = [box for box in sample["boxes"] if box["text"] != logo]
        area = round(sum(box["width"] * box["height"] for box in boxes), 4)
        written.append(Writing(sample["start"], sample["end"], len(boxes), area))
    corrected = read_overrides(inputs.overrides, sha256, total) if inputs.overrides else {"keep": [], "drop": []}
    keep, drop = ([(entry["start"], entry["end"]) for entry in corrected[name]] for name in ("keep", "drop"))
    return Marks(changes, written, keep, drop)


def decide(inputs: Inputs, parameters: Parameters, total: int, sha256: str) -> list[Clip | Reject]:
    """Return what becomes of each of the ``total`` frames; shots that are not this film's raise a StageError."""
    found, measured = read_json(inputs.shots / "shots.json"), read_json(inputs.shots / "frames.json")
    times = presentation_times(inputs.master)
    if not found["frames"] == len(measured["luma"]) == len(times) - 1 == total:
        what = f"{inputs.master.name}: has {total} frames, but its shots cover {found['frames']}"
        raise StageError(f"{what}; they are another film's, find the shots of this one")
    bounds = [0, *(shot["end"] for shot in found["shots"])]
    if [shot["start"] for shot in found["shots"]] != bounds[:-1] or bounds[-1] != total:
        raise StageError(f"shots.json: its shots do not tile frames 0 to {total}; mend them or find them again")
    rules = Rules(**{rule.name: getattr(parameters, rule.name) for rule in fields(Rules)})
    frames, timeline = Frames(measured["luma"], measured["change"]), Timeline(times, Fraction(parameters.fps))
    return plan(list(pairwise(bounds)), frames, timeline, rules, marks(inputs, found, sha256, total))


def tally(rejects: Iterable[Reject]) -> str:
    """Return how many frames each rule rejected, the most first."""
    counts: Counter[str] = Counter()
    for reject in rejects:
        counts[reject.rule] += reject.end - reject.start
    return ", ".join(f"{rule} {count}" for rule, count in counts.most_common())


def pictures(
    master: Path, like: VideoStream, total: int, clips: Sequence[Clip], size: tuple[int, int]
) -> Iterator[VideoFrame]:
    """Yield the pictures of all ``clips``, one after the other, ``size`` (width, height) each, from one pass."""
    fit = picture_filter(like, *cover_and_crop(like, *size))
    frames = enumerate(track(decoded_frames(master, total), "clips", total, "frame"))
    yield from map(fit, pick(frames, chain.from_iterable(clip.frames for clip in clips)))
    for _ in frames:
        pass  # Decoding to the end finds out whether frames are missing there.


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write clips.json, clips/ and first_frames/."""
    check(parameters)
    master, probe = inputs.master, read_json(inputs.source / "probe.json")
    total = probe["video"]["frames"]
    pieces = decide(inputs, parameters, total, probe["sha256"])
    clips = [piece for piece in pieces if isinstance(piece, Clip)]
    rejects = [piece for piece in pieces if isinstance(piece, Reject)]
    if not clips:
        raise StageError(
            f"{master.name}: no clip survives (frames: {tally(rejects)}); loosen the rules or leave it out"
        )
    for directory in ("clips", "first_frames"):
        (out / directory).mkdir()
    look = Look(read_json(inputs.shots / "frames.json"), parameters.repeat_change)
    samples, logo = texts_of(inputs)
    limits = parameters.tag_repeats, parameters.tag_blur_percentile
    form = ClipFormat(**{field.name: getattr(parameters, field.name) for field in fields(ClipFormat)})
    rows = []
    # Pictures are made and the clip before is read back while a clip is encoded; no more than one waits to be read.
    with open_media(master) as container, ThreadPoolExecutor(1) as reader:
        reading: list[Future[None]] = []
        like = video_stream(container, master)
        shown = ahead(pictures(master, like, total, clips, (form.width, form.height)), PICTURES_AHEAD)
        for clip in clips:
            name = f"{probe['sha256'][:12]}-{clip.start:06d}-{clip.end:06d}"
            row = {"id": name, "file": f"clips/{name}.mp4", "first_frame": f"first_frames/{name}.png"}
            write_clip(out / row["file"], islice(shown, len(clip.frames)), form, like)
            for earlier in reading:
                earlier.result()
            reading = [
                reader.submit(write_first_frame, out / row["file"], len(clip.frames), form, out / row["first_frame"])
            ]
            place = {"start": clip.start, "end": clip.end, "frames": len(clip.frames), "shot": clip.shot}
            rows.append({**row, **place, **look.describe(clip.start, clip.end, samples, logo, *limits)})
        for last in reading:
            last.result()
        for _ in shown:
            pass
    size = {"fps": parameters.fps, "width": parameters.width, "height": parameters.height}
    write_json(out / "clips.json", {**size, "frames": total, "clips": rows, "rejects": list(map(asdict, rejects))})


STAGE = Stage(name="clips", inputs=Inputs, parameters=Parameters, outputs={"clips.json": "clips"}, run=run)

if __name__ == "__main__":
    STAGE.main()
