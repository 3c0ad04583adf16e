"""Which clip a caption that a person wrote belongs to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from reelgraph.errors import StageError
from reelgraph.text.captions import MOST_CLIPS_OF_ONE_TEXT
from reelgraph.text.ranges import contains, first_overlap, frames, is_covered, shared_frames
from reelgraph.words.pictures import hash_distance

# Measured on a film: a shot at two sizes and qualities differs in at most 14 of 256 bits, two shots in 46 or more.
SAME_PICTURE = 31


@dataclass(frozen=True)
class Episode:
    """The clips and rejects of clips.json, the master's frames a second, and each clip's PDQ hash where needed."""

    clips: Sequence[Mapping[str, Any]]
    rejects: Sequence[Mapping[str, Any]]
    fps: str
    pictures: Mapping[str, str]


def name_of(label: Mapping[str, Any]) -> str:
    """Return how messages call a label: as the person placed it."""
    was = f" ({label['was']})" if "was" in label else ""
    if "clip" in label:
        return f"label of clip {label['clip']}{was}"
    if "start" in label:
        return f"label of {frames(label)}{was}"
    if "seconds" in label:
        return f"label of {label['seconds'][0]}-{label['seconds'][1]} s{was}"
    return f"label of picture {label['picture'][:12]}{was}"


def check_labels(labels: Sequence[Mapping[str, Any]], episode: Episode) -> None:
    """Raise a StageError for labels by frames that overlap, hold no frame, or hold no clip where none was rejected."""
    by_frames = [label for label in labels if "start" in label]
    if empty := next((label for label in by_frames if label["start"] >= label["end"]), None):
        raise StageError(f"label of {frames(empty)}: holds no frame; its end must lie after its start")
    if overlap := first_overlap(by_frames):
        raise StageError(f"labels of {frames(overlap[0])} and {frames(overlap[1])} overlap; a frame may have one label")
    for label in by_frames:
        if not any(shared_frames(label, clip) for clip in episode.clips) and not is_covered(label, episode.rejects):
            raise StageError(
                f"label of {frames(label)}: no clip lies in it and its frames were not rejected; "
                "its caption would be lost, so mend its frames or remove it"
            )
    for clip in episode.clips:
        cut = [label for label in by_frames if shared_frames(label, clip)]
        if cut and not any(contains(label, clip) for label in cut):
            raise StageError(
                f"clip {clip['id']} ({frames(clip)}): the label of {frames(cut[0])} covers only a part of it; "
                "write a label whose frames contain the clip"
            )


def match_labels(written: Mapping[str, Any], episode: Episode) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the clips' labels in the order of the clips, and the labels that no clip has taken.

    A clip takes the surest match: by its id, then by frames, by seconds, by the nearest picture. A text that more than
    two labels bring is a StageError; one label may serve all clips of a shot.
    """
    found: dict[str, dict[str, Any]] = {}
    unmatched = []
    takers: dict[str, list[list[str]]] = defaultdict(list)
    fits = [(label, *_clips_of(label, written, episode)) for label in written["labels"]]
    for label, clips, how, because in sorted(fits, key=_sureness):
        text = label["training_caption"]
        free = [(clip, distance) for clip, distance in clips if clip["id"] not in found]
        for clip, distance in free:
            found[clip["id"]] = {"clip": clip["id"], "text": text, "matched": how, "distance": distance}
        if free:
            takers[text].append([clip["id"] for clip, _ in free])
        else:
            because = because if not clips else "its clip has a label that was matched more surely"
            unmatched.append({"label": name_of(label), "text": text, "because": because})
    _check_repeats(takers)
    return [found[clip["id"]] for clip in episode.clips if clip["id"] in found], unmatched


def _sureness(fit: tuple[Mapping[str, Any], list[tuple[Mapping[str, Any], int | None]], str, str]) -> tuple[int, int]:
    _, clips, how, _ = fit
    return ("clip", "frames", "seconds", "picture").index(how), clips[0][1] or 0 if clips else 0


def _check_repeats(takers: Mapping[str, Sequence[Sequence[str]]]) -> None:
    for text, groups in takers.items():
        if len(groups) > MOST_CLIPS_OF_ONE_TEXT:
            clips = ", ".join(clip for group in groups for clip in group)
            raise StageError(
                f'{len(groups)} labels give one text to their clips ({clips}: "{text[:60]}"), at most '
                f"{MOST_CLIPS_OF_ONE_TEXT} may share one; say what differs"
            )


def _clips_of(
    label: Mapping[str, Any], written: Mapping[str, Any], episode: Episode
) -> tuple[list[tuple[Mapping[str, Any], int | None]], str, str]:
    """Return the clips that a label fits with their pictures' distance, by what, and why there are none."""
    clips = episode.clips
    if "clip" in label:
        return [(clip, None) for clip in clips if clip["id"] == label["clip"]], "clip", "there is no such clip"
    if "start" in label:
        fits = [(clip, None) for clip in clips if contains(label, clip)]
        return fits, "frames", "all its frames were rejected"
    if "seconds" in label:
        fps, offset = Fraction(episode.fps), Fraction(str(written.get("offset_seconds", 0)))
        start, end = ((Fraction(str(second)) + offset) * fps for second in label["seconds"])
        # Most of the clip must lie in the label: the old edit's cuts are known to a second or so only.
        fits = [(clip, None) for clip in clips if _shared(clip, start, end) * 2 > clip["end"] - clip["start"]]
        return fits, "seconds", "no clip lies mostly in its seconds"
    distances = [(hash_distance(label["picture"], episode.pictures[clip["id"]]), clip) for clip in clips]
    limit = written.get("largest_distance", SAME_PICTURE)
    nearest = min(distances, key=lambda pair: pair[0], default=None)
    if nearest is None or nearest[0] > limit:
        apart = "there is no clip" if nearest is None else f"the nearest picture differs in {nearest[0]} of 256 bits"
        return [], "picture", f"{apart}, at most {limit} are allowed"
    return [(nearest[1], nearest[0])], "picture", ""


def _shared(clip: Mapping[str, Any], start: Fraction, end: Fraction) -> Fraction:
    return max(Fraction(0), min(Fraction(clip["end"]), end) - max(Fraction(clip["start"]), start))
