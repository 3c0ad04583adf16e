"""What is worth knowing of a clip that is no reason to reject it: repeats, blur, writing, a station's logo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

LOGO_SHARE = 0.3  # of all looks at the episode find the same text in a corner
CORNER_SHARE = 0.15  # of the picture's width and height


class Look:
    """Clips against their own episode: what is blurred is told from its other frames, not from a fixed value."""

    def __init__(self, measured: Mapping[str, Sequence[float]], repeat_change: float) -> None:
        """``measured`` is frames.json; a frame whose change is at most ``repeat_change`` repeats the one before."""
        self._repeats = [change <= repeat_change for change in measured["change"]]
        self._sharpness = measured["sharpness"]
        self._sorted = sorted(self._sharpness)

    def percentile(self, share: float) -> float:
        """Return the sharpness below which ``share`` percent of the episode's frames lie."""
        return self._sorted[min(int(len(self._sorted) * share / 100), len(self._sorted) - 1)]

    def describe(
        self, start: int, end: int, samples: Sequence[Mapping[str, Any]], logo: str | None, repeats: float, blur: float
    ) -> dict[str, Any]:
        """Return a clip's repeats, sharpness and tags.

        ``samples`` are those of texts.json, ``repeats`` the share from which a clip is nearly still, ``blur`` the
        percentile of the episode below which it is blurred.
        """
        share = sum(self._repeats[start + 1 : end]) / max(end - start - 1, 1)
        sharpness = median(self._sharpness[start:end])
        seen = [box for sample in samples if sample["start"] < end and start < sample["end"] for box in sample["boxes"]]
        tags = {
            "nearly-still": share >= repeats,
            "blurred": sharpness < self.percentile(blur),
            "text": any(box["text"] != logo for box in seen),
            "logo": logo is not None and any(box["text"] == logo for box in seen),
        }
        return {
            "repeats": round(share, 3),
            "sharpness": round(sharpness, 2),
            "tags": sorted(tag for tag, holds in tags.items() if holds),
        }


def in_corner(box: Mapping[str, Any]) -> bool:
    """Whether a box, in shares of the picture, lies in a corner."""
    beside = box["x"] + box["width"] <= CORNER_SHARE * 2 or box["x"] >= 1 - CORNER_SHARE * 2
    above = box["y"] + box["height"] <= CORNER_SHARE or box["y"] >= 1 - CORNER_SHARE
    return beside and above


def find_logo(samples: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the text that stands in a corner of most of the samples of texts.json, or None."""
    counts = Counter(text for sample in samples for text in {box["text"] for box in sample["boxes"] if in_corner(box)})
    text, count = min(counts.items(), key=lambda item: (-item[1], item[0]), default=(None, 0))
    return text if count > 1 and count >= LOGO_SHARE * len(samples) else None
