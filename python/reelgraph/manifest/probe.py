"""What a master holds, read from its headers and its packets' time stamps; nothing is decoded."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from reelgraph.errors import StageError

PACKETS = 500  # enough to tell a variable rate; a whole master would take as long as its hash
FAMILIES = {
    "mov": {".mov", ".mp4", ".m4v"},
    "matroska": {".mkv", ".webm"},
    "avi": {".avi"},
    "mpegts": {".ts", ".m2ts", ".mts"},
    "mxf": {".mxf"},
}


def probe(path: Path) -> list[dict[str, Any]]:
    """Return every stream as the manifest holds it; a file that no pipeline could read raises a StageError."""
    if not path.stat().st_size:
        raise StageError(f"{path.name}: is empty; copy the master again")
    try:
        with av.open(str(path)) as container:
            check_ending(path, container.format.name)
            streams = [describe(stream) for stream in container.streams]
            moving = [
                stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition
            ]
            if not moving:
                raise StageError(f"{path.name}: has no video stream; expected a master with picture and sound")
            if len(moving) > 1:
                sizes = ", ".join(f"{stream.width}x{stream.height}" for stream in moving)
                raise StageError(
                    f"{path.name}: has {len(moving)} video streams ({sizes}) and nothing says which is the episode; "
                    "remux it with one of them"
                )
            streams[moving[0].index]["variable_rate"] = is_variable(container, moving[0])
            return streams
    except PermissionError as error:
        raise StageError(f"{path.name}: may not be read; change its permissions") from error
    except av.error.FFmpegError as error:
        hint = "it is damaged, cut short or no media file, copy it again"
        raise StageError(f"{path.name}: cannot be read as a film ({error.strerror}); {hint}") from error


def check_ending(path: Path, found: str) -> None:
    """Raise a StageError where the name's ending is not one of the file's real format."""
    for family, endings in FAMILIES.items():
        if family in found.split(",") and path.suffix.lower() not in endings:
            raise StageError(f"{path.name}: is really {family}, not {path.suffix}; rename it to {min(endings)}")


def describe(stream: Any) -> dict[str, Any]:
    """Return one stream's entry."""
    context = stream.codec_context
    seconds = float(stream.duration * stream.time_base) if stream.duration else None
    entry: dict[str, Any] = {
        "kind": stream.type,
        "codec": context.name if context else None,
        "language": None if stream.language in (None, "und") else stream.language,
        "start_seconds": round(float((stream.start_time or 0) * stream.time_base), 6),
        "seconds": None if seconds is None else round(seconds, 3),
    }
    if stream.type == "video":
        rate = stream.average_rate or stream.guessed_rate
        entry |= {
            "width": stream.width,
            "height": stream.height,
            "rate": f"{rate.numerator}/{rate.denominator}" if rate else None,
            "frames": stream.frames or None,
        }
    if stream.type == "audio":
        entry |= {"rate": str(stream.rate), "channels": stream.channels}
    return entry


def is_variable(container: Any, stream: Any) -> bool:
    """Whether the first frames are shown for unequal times."""
    stamps = []
    for packet in container.demux(stream):
        if packet.pts is not None and not packet.is_discard:
            stamps.append(packet.pts)
        if len(stamps) == PACKETS:
            break
    # Frames that later ones refer to come first; those at the seam may lack their neighbours.
    ordered = sorted(stamps)[: -16 if len(stamps) == PACKETS else None]
    steps = [after - before for before, after in pairwise(ordered)]
    return bool(steps) and max(steps) - min(steps) > 1
