"""Cut frame-exact clips and their first frames; every frame is in one clip or rejected by one named rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.media.encode import add_h264, encode_video, write_media, write_png
from reelgraph.media.frames import (
    SCALE_FINE,
    decoded_frames,
    frame_rate,
    open_media,
    picture_filter,
    presentation_times,
    video_stream,
)
from reelgraph.media.plan import Clip, Reject, Rules, Timeline, plan
from reelgraph.progress import track
from reelgraph.stage import Stage

SIDE_MULTIPLE = 32  # of the models' video autoencoders
FRAME_STEP = 8  # LTX-2 needs 8n + 1 frames; Wan, which needs 4n + 1, takes them too


@dataclass(frozen=True)
class Inputs:
    """A media file, the directory with its probe.json, and the one with its shots.json and frames.json."""

    master: Path
    source: Path
    shots: Path


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
    crf: int
    preset: str


def check(parameters: Parameters) -> None:
    """Raise a StageError where the models could not take such clips."""
    for name in ("width", "height"):
        if getattr(parameters, name) % SIDE_MULTIPLE:
            raise StageError(f"{name} {getattr(parameters, name)}: is not a multiple of {SIDE_MULTIPLE}; choose one that is")
    for count in parameters.frame_counts:
        if count % FRAME_STEP != 1:
            raise StageError(f"frame_counts: {count} is not {FRAME_STEP}n + 1; choose from 17, 25, 33, 49, 81, ...")
    if parameters.frame_counts != sorted(set(parameters.frame_counts)):
        raise StageError(f"frame_counts: {parameters.frame_counts} do not ascend; sort them")


def cover_and_crop(stream: VideoStream, width: int, height: int) -> tuple[tuple[str, str], ...]:
    """Return filters that cut the largest window of the clip's shape from the middle and scale it to the clip's size."""
    pixel = stream.sample_aspect_ratio or Fraction(1)
    shape = Fraction(width, height) / pixel
    # Even sizes and offsets keep colour, which has half the resolution, on its place.
    window_width = min(stream.width, round(stream.height * shape)) // 2 * 2
    window_height = min(stream.height, round(stream.width / shape)) // 2 * 2
    left, top = (stream.width - window_width) // 4 * 2, (stream.height - window_height) // 4 * 2
    return (
        ("crop", f"{window_width}:{window_height}:{left}:{top}"),
        ("scale", f"{width}:{height}:{SCALE_FINE}"),
        ("format", "yuv420p"),
        ("setsar", "1"),
    )


def pick(frames: Iterator[tuple[int, VideoFrame]], wanted: Iterable[int]) -> Iterator[VideoFrame]:
    """Yield the frames of the ascending numbers ``wanted``, the same one again for the same number."""
    number, frame = next(frames)
    for want in wanted:
        while number < want:
            number, frame = next(frames)
        yield frame


def read_back(path: Path, clip: Clip, fps: Fraction, parameters: Parameters) -> VideoFrame:
    """Decode a written clip and return its first frame; a clip that is not as planned raises a StageError."""
    first, times = None, []
    for frame in decoded_frames(path, len(clip.frames)):
        first = first or frame
        times.append(frame.pts * frame.time_base)
    with open_media(path) as container:
        rate = frame_rate(container.streams.video[0], path)
    found = (first.width, first.height, rate)
    if found != (parameters.width, parameters.height, fps) or times != [number / fps for number in range(len(times))]:
        raise StageError(
            f"{path.name}: was written as {first.width}x{first.height} at {rate} frames per second, "
            f"not {parameters.width}x{parameters.height} at {fps} in even steps; report this, the encoder is at fault"
        )
    return first


def write_clip(path: Path, frames: Iterable[VideoFrame], fps: Fraction, parameters: Parameters, like: VideoStream) -> None:
    """Encode a clip without B-frames, so that every frame comes in the order shown."""
    size = (parameters.width, parameters.height)
    with write_media(path) as container:
        stream = add_h264(container, fps, size, parameters.crf, parameters.preset, False, like)
        for packet in encode_video(stream, frames):
            container.mux(packet)


def decide(inputs: Inputs, parameters: Parameters, total: int) -> tuple[list[Clip], list[Reject]]:
    """Return the episode's clips and rejects; none left of the former, or shots of another film, raise a StageError."""
    name, found, measured = inputs.master.name, read_json(inputs.shots / "shots.json"), read_json(inputs.shots / "frames.json")
    times = presentation_times(inputs.master)
    if not found["frames"] == len(measured["luma"]) == len(times) - 1 == total:
        raise StageError(f"{name}: has {total} frames, but its shots cover {found['frames']}; find the shots of this film")
    rules = Rules(**{rule.name: getattr(parameters, rule.name) for rule in fields(Rules)})
    shots = [(shot["start"], shot["end"]) for shot in found["shots"]]
    pieces = plan(shots, measured["luma"], measured["change"], Timeline(times, Fraction(parameters.fps)), rules)
    clips = [piece for piece in pieces if isinstance(piece, Clip)]
    rejects = [piece for piece in pieces if isinstance(piece, Reject)]
    if not clips:
        rejected: Counter[str] = Counter()
        for reject in rejects:
            rejected[reject.rule] += reject.end - reject.start
        counts = ", ".join(f"{rule} {count}" for rule, count in rejected.most_common())
        raise StageError(f"{name}: no clip survives (frames rejected: {counts}); loosen the rules or leave the episode out")
    return clips, rejects


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write clips.json, clips/ and first_frames/."""
    check(parameters)
    master, fps, probe = inputs.master, Fraction(parameters.fps), read_json(inputs.source / "probe.json")
    total = probe["video"]["frames"]
    clips, rejects = decide(inputs, parameters, total)
    for directory in ("clips", "first_frames"):
        (out / directory).mkdir()
    rows = []
    frames = enumerate(track(decoded_frames(master, total), "clips", total, "frame"))
    with open_media(master) as container:
        like = video_stream(container, master)
        fit = picture_filter(like, *cover_and_crop(like, parameters.width, parameters.height))
        for clip in clips:
            name = f"{probe['sha256'][:12]}-{clip.start:06d}-{clip.end:06d}"
            row = {"id": name, "file": f"clips/{name}.mp4", "first_frame": f"first_frames/{name}.png"}
            write_clip(out / row["file"], map(fit, pick(frames, clip.frames)), fps, parameters, like)
            write_png(out / row["first_frame"], read_back(out / row["file"], clip, fps, parameters))
            rows.append({**row, "start": clip.start, "end": clip.end, "frames": len(clip.frames), "shot": clip.shot})
    for _ in frames:
        pass  # Decoding to the end finds out whether frames are missing there.
    size = {"fps": parameters.fps, "width": parameters.width, "height": parameters.height}
    write_json(out / "clips.json", {**size, "frames": total, "clips": rows, "rejects": [asdict(reject) for reject in rejects]})


STAGE = Stage(name="clips", inputs=Inputs, parameters=Parameters, outputs={"clips.json": "clips"}, run=run)

if __name__ == "__main__":
    STAGE.main()
