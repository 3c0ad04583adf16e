"""The runbook's steps, as readers know them, and which stage belongs to which."""

from __future__ import annotations

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
    1: ("excerpt", "source", "variants", "shots", "clips"),
    2: (
        "transcript-base",
        "transcript-disambiguate",
        "bible",
        "shot-reference",
        "scene-context",
        "caption",
        "reviewed",
    ),
    3: ("wan22-package", "ltx2-data"),
    4: ("wan22-latents", "wan22-text", "ltx2-preprocess"),
    5: ("wan22-plan", "segment-plan", "wan22-train", "ltx2-plan", "ltx2-train", "checkpoint", "ltx2-checkpoint"),
    6: ("samples", "ltx2-samples", "report", "bundle"),
}
_STEP_OF = {stage: step for step, stages in _STAGES.items() for stage in stages}


def step_of(stage: str, kind: str) -> int:
    """Return the number of a stage's step; what no step names belongs to the models or, as the rest, to the last step."""
    if stage in _STEP_OF:
        return _STEP_OF[stage]
    return 0 if kind.endswith("model") else max(STEPS)
