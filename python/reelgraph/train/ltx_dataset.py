"""The package's rows joined with what they were encoded to: nothing stale, nothing left out in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.train.planning import embedded_prompts, encoded_clips

# Sound's latents a second, and how many their autoencoder may round away or add at a clip's end.
SOUND_RATE, SOUND_SLACK = 25, 1
Row = Mapping[str, Any]


@dataclass(frozen=True)
class EncodedSet:
    """The dataset, and per episode what clips, sound and captions were encoded to; no sound for a set without."""

    package: Path
    latents: dict[str, Path]
    sound: dict[str, Path]
    text: dict[str, Path]


def join_encoded(rows: Sequence[Row], encoded: EncodedSet) -> dict[str, list[int]]:
    """Return the shape of each row's video latents by its ``video``.

    Raises a StageError that names a clip without latents, sound or text, one whose latents are of another size or
    length than the clip, and latents of a clip that the package does not have.
    """
    videos, sounds = encoded_clips(encoded.latents, "latents"), encoded_clips(encoded.sound, "sound")
    prompts, shapes = embedded_prompts(encoded.text), {}
    for row in rows:
        key, name = (row["episode"], row["clip"]), f"{row['episode']}/{row['clip']}"
        if key not in videos:
            raise StageError(
                f"clip {name} of the package has no latents; build ltx2-video-latents for episode '{key[0]}'"
            )
        check_video(name, row, videos[key]["shape"])
        if encoded.sound:
            check_sound(name, row, sounds.get(key))
        if (row["episode"], row["prompt"]) not in prompts:
            raise StageError(
                f"the prompt of clip {name} has no features; build ltx2-text for episode '{key[0]}' from the same "
                "captions and with the same trigger"
            )
        shapes[row["video"]] = videos[key]["shape"]
    check_leftovers(rows, {"latents": videos, "sound": sounds})
    return shapes


def check_video(name: str, row: Row, shape: Sequence[int]) -> None:
    """Raise a StageError unless latents are of a clip of the row's size and length."""
    expected = [128, (row["frames"] - 1) // 8 + 1, row["height"] // 32, row["width"] // 32]
    if list(shape) != expected:
        raise StageError(
            f"clip {name}: latents {list(shape)} do not come from {row['frames']} frames of {row['width']}x"
            f"{row['height']}, which give {expected}; encode it again"
        )


def check_sound(name: str, row: Row, entry: Mapping[str, Any] | None) -> None:
    """Raise a StageError unless there is sound, as long as the clip."""
    if entry is None:
        raise StageError(
            f"clip {name} has no sound, others of the set have; build ltx2-audio-latents for episode "
            f"'{row['episode']}', or take the sound out of the whole set"
        )
    expected = row["frames"] / row["fps"] * SOUND_RATE
    if abs(entry["shape"][1] - expected) > SOUND_SLACK:
        raise StageError(
            f"clip {name}: {entry['shape'][1]} latents of sound do not come from {row['frames']} frames, which give "
            f"about {expected:.1f}; encode its sound again"
        )


def check_leftovers(rows: Sequence[Row], encoded: Mapping[str, Mapping[tuple[str, str], Any]]) -> None:
    """Raise a StageError that names what was encoded and is of no clip of the package."""
    known = {(row["episode"], row["clip"]) for row in rows}
    for what, found in encoded.items():
        if stale := sorted(set(found) - known):
            raise StageError(
                f"{what} of clip {'/'.join(stale[0])}: the package has no such clip; they are of an older package, "
                "encode the clips of this one"
            )
