"""The runbook's steps, as readers know them, and which stage belongs to which."""

from __future__ import annotations

from collections.abc import Iterable

STEPS = {
    0: "models",
    1: "masters to clips",
    2: "words",
    3: "package",
    4: "encode",
    5: "train",
    6: "samples and report",
}
_STAGES = {
    1: (
        "excerpt",
        "source",
        "shots",
        "shot-votes",
        "texts",
        "fingerprints",
        "variants",
        "clips",
        "clip-sound",
        "contact-sheet",
    ),
    2: (
        "transcript-base",
        "transcript-disambiguate",
        "bible",
        "episode-bible",
        "episode-names",
        "bootstrap",
        "shot-reference",
        "scene-context",
        "caption",
        "reviewed",
    ),
    3: ("wan22-package", "ltx2-data"),
    4: ("wan22-latents", "wan22-text", "ltx2-video-latents", "ltx2-audio-latents", "ltx2-text", "ltx2-preprocess"),
    5: ("wan22-plan", "segment-plan", "wan22-train", "ltx2-plan", "ltx2-train", "checkpoint"),
    6: ("samples", "ltx2-samples", "report", "bundle"),
}
_STEP_OF = {stage: step for step, stages in _STAGES.items() for stage in stages}


def step_of(stage: str, kind: str, inputs: Iterable[int]) -> int:
    """Return the number of a stage's step; a stage that no step names stands with the last of its ``inputs``' steps."""
    if kind.endswith("model"):
        return 0
    return _STEP_OF.get(stage) or max((step for step in inputs if step), default=1)
