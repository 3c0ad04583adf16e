"""Describe a master: its hash, picture and sound; refuse one that is altered, cut short or silent."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition, Stream

from reelgraph.byte_progress import byte_progress
from reelgraph.errors import StageError
from reelgraph.files import file_hash, write_json
from reelgraph.media.frames import frame_rate, open_media, reading, video_stream
from reelgraph.media.sound_streams import choose_sound
from reelgraph.stage import Stage

LOUDEST_SILENCE = 3  # of 32767: the noise that lossy codecs make of digital silence
CUT_SHORT_SECONDS = 0.1  # containers state their length a frame or two wrong
TAIL_SECONDS = 10  # takes a second to decode; a seek to the very end misses its key frame in some containers


# Time stamp and duration of every packet of each stream by its index, sorted, in the stream's ticks.
Stamps = dict[int, list[tuple[int, int]]]


@dataclass(frozen=True)
class Inputs:
    """A media file."""

    master: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/source.parameters.json."""

    episode: str
    title: str
    language: str
    licence: str
    sha256: str | None


def check_bytes(master: Path, expected: str | None) -> str:
    """Return the master's SHA-256 in hexadecimal digits; an empty or altered file raises a StageError."""
    if not master.is_file():
        raise StageError(f"{master.name}: is no file; expected a master, a media file")
    if not master.stat().st_size:
        raise StageError(f"{master.name}: is empty; copy the master again")
    try:
        found = file_hash(master).removeprefix("sha256:")
    except OSError as error:
        raise StageError(f"{master.name}: may not be read ({error.strerror}); change its permissions") from error
    if expected not in (None, found):
        raise StageError(
            f"{master.name}: SHA-256 is {found}, expected {expected}; the master was altered: "
            "restore it, or correct the manifest if this is the right one"
        )
    return found


def time_stamps(master: Path) -> Stamps:
    """Read through the file without decoding anything."""
    stamps: Stamps = defaultdict(list)
    size, reached = master.stat().st_size, 0
    with open_media(master) as container, reading(master), byte_progress("source", size) as on_bytes:
        for packet in container.demux():
            if packet.pts is not None and not packet.is_discard:
                stamps[packet.stream.index].append((packet.pts, packet.duration or 0))
            if packet.pos is not None and packet.pos > reached:
                on_bytes(packet.pos - reached)
                reached = packet.pos
        on_bytes(size - reached)
    return {index: sorted(packets) for index, packets in stamps.items()}


def seconds(stream: Stream, packets: list[tuple[int, int]]) -> Fraction:
    """Return how long a stream lasts from its first time stamp to its last one's end."""
    return (sum(packets[-1]) - packets[0][0]) * stream.time_base if packets else Fraction(0)


def check_streams(master: Path) -> None:
    """Raise a StageError where several moving pictures leave open which is the episode."""
    with open_media(master) as container:
        pictures = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
        if len(pictures) > 1:
            sizes = ", ".join(f"{stream.width}x{stream.height}" for stream in pictures)
            raise StageError(
                f"{master.name}: has {len(pictures)} video streams ({sizes}) and nothing says which is the episode; "
                "remux it with one of them"
            )


def check_whole(master: Path, stamps: Stamps) -> None:
    """Raise a StageError where frames are missing at the end, by count, by length, or because they do not decode."""
    with open_media(master) as container, reading(master):
        stream = video_stream(container, master)
        shown = [stamp for stamp, _ in stamps.get(stream.index, [])]
        # The MP4 family lists its frames; others that state their number may be a frame or two wrong.
        listed = stream.frames - (0 if "mp4" in container.format.name else 2)
        hint = "the film is cut short or damaged, copy the master again"
        if len(shown) < max(listed, 1):
            raise StageError(f"{master.name}: holds {len(shown)} of the {max(listed, 1)} frames it declares; {hint}")
        lasts = max(seconds(container.streams[index], packets) for index, packets in stamps.items())
        declared = (container.duration or 0) / av.time_base
        if lasts < declared - CUT_SHORT_SECONDS:
            raise StageError(f"{master.name}: ends at {float(lasts):.2f} of the {declared:.2f} s it declares; {hint}")
        container.seek(max(shown[0], shown[-1] - int(TAIL_SECONDS / stream.time_base)), stream=stream)
        decoded, laced, turned = [], 0, 0
        for frame in container.decode(stream):
            if not frame.is_corrupt:
                decoded.append(frame.pts)
                laced, turned = laced + frame.interlaced_frame, frame.rotation
        decoded.sort()
        if not decoded or decoded != shown[-len(decoded) :]:
            raise StageError(f"{master.name}: its last frames cannot be decoded; {hint}")
        if laced > len(decoded) / 2:
            raise StageError(
                f"{master.name}: is interlaced, two moments in each frame; "
                "give the progressive master, or deinterlace this one"
            )
        if turned:
            raise StageError(
                f"{master.name}: is stored turned by {turned % 360} degrees and says so in its header; "
                "write it upright, since trainers do not read that header"
            )


def find_sound(master: Path, language: str) -> int:
    """Return which audio stream is the episode's; raise a StageError unless something is heard in it."""
    with open_media(master) as container, reading(master):
        number = choose_sound(container, master, language)
        resampler = av.AudioResampler(format="s16")
        for frame in container.decode(container.streams.audio[number]):
            frame.pts = None
            if any(
                np.abs(piece.to_ndarray().astype(np.int32)).max() > LOUDEST_SILENCE
                for piece in resampler.resample(frame)
            ):
                return number
    raise StageError(
        f"{master.name}: nothing is heard in its audio stream {number}, the episode is silent; give a master with sound"
    )


def describe(master: Path, stamps: Stamps) -> dict[str, Any]:
    """Return the video and audio entries of probe.json."""
    with open_media(master) as container:
        video = video_stream(container, master)
        rate, packets = frame_rate(video, master), stamps[video.index]
        steps = [after - before for (before, _), (after, _) in pairwise(packets)]
        # Time stamps in whole milliseconds, as in Matroska, differ by one tick at a constant rate too.
        variable = bool(steps) and max(steps) - min(steps) > 1
        if variable:
            rate = len(steps) / (sum(steps) * video.time_base)
        shape = video.sample_aspect_ratio or Fraction(1)
        return {
            "video": {
                "codec": video.codec_context.name,
                "width": video.width,
                "height": video.height,
                "sample_aspect_ratio": f"{shape.numerator}/{shape.denominator}",
                "fps": round(float(rate), 6),
                "fps_rational": f"{rate.numerator}/{rate.denominator}",
                "frames": len(packets),
                "seconds": round(float(len(packets) / rate), 6),
                "start_seconds": round(float(packets[0][0] * video.time_base), 6),
                "variable_rate": variable,
            },
            "audio": [
                {
                    "codec": stream.codec_context.name,
                    "rate": stream.rate,
                    "channels": stream.channels,
                    "seconds": round(float(seconds(stream, stamps.get(stream.index, []))), 6),
                    "language": None if stream.language in (None, "und") else stream.language,
                }
                for stream in container.streams.audio
            ],
        }


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write probe.json."""
    sha256 = check_bytes(inputs.master, parameters.sha256)
    check_streams(inputs.master)
    stamps = time_stamps(inputs.master)
    check_whole(inputs.master, stamps)
    probe = {**asdict(parameters), "sha256": sha256, "bytes": inputs.master.stat().st_size}
    sound = {"sound_stream": find_sound(inputs.master, parameters.language)}
    write_json(out / "probe.json", {**probe, **describe(inputs.master, stamps), **sound})


STAGE = Stage(name="source", inputs=Inputs, parameters=Parameters, outputs={"probe.json": "probe"}, run=run)

if __name__ == "__main__":
    STAGE.main()
