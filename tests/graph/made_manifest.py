"""A checkout with a manifest of made-up masters and locks of made-up weights: enough to evaluate, nothing to build."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation import ROOT

MANIFEST = "materials/training-data/iiw_english_source_manifest.json"
# The derivation of every stage of a pipeline, also where nothing that is trained needs it, by "<set>/<stage>".
STAGES = """p:
let
  stagesOf =
    value:
    if builtins.isAttrs value && value ? stage then
      [ { key = "${value.set}/${value.stage}"; inherit value; } ]
    else if builtins.isAttrs value && !(value ? type) && !(value ? kind) then
      builtins.concatMap stagesOf (builtins.attrValues value)
    else
      [ ];
  found = builtins.genericClosure {
    startSet = stagesOf { inherit (p) stages episodes variants; };
    operator = item: stagesOf item.value.needs;
  };
in
builtins.listToAttrs (map (item: { name = item.key; value = item.value.drvPath; }) found)
"""


def episode(number: int, language: str = "en", **by_hand: Any) -> dict[str, Any]:
    name = f"iiw-{number}" + ("" if language == "en" else f"-{language}")
    return {
        "id": name,
        "production": str(number),
        "title": f"Episode {number}",
        "language": language,
        "canonical": language == "en",
        "bible_episode": None,
        "file": f"{name}.mov",
        "suffix": ".mov",
        "bytes": 1,
        "sha256": hashlib.sha256(name.encode()).hexdigest(),
        "streams": [{"kind": "video", "codec": "h264", "language": None, "start_seconds": 0.0, "seconds": 1320.0}],
        "by_hand": by_hand,
    }


def put_manifest(
    checkout: Path, work: dict[str, Any], episodes: Sequence[dict[str, Any]], smoke: Sequence[str] = ()
) -> Path:
    """Put a manifest of ``episodes`` and the terms of their ``work`` into ``checkout`` and return it."""
    (checkout / "materials/licences/works/iiw.json").write_text(json.dumps(work))
    whole = {"series": "iiw", "language": "en", "work": "iiw", "smoke_subset": smoke, "episodes": episodes}
    (checkout / MANIFEST).parent.mkdir(parents=True, exist_ok=True)
    (checkout / MANIFEST).write_text(json.dumps(whole))
    return checkout


def put_bible(checkout: Path) -> None:
    """Give the licensed pipelines the sample film's bible."""
    (checkout / "materials/training-data/bible.yaml").write_text((ROOT / "materials/smoke/bible.yaml").read_text())


def lock_models(checkout: Path) -> None:
    """Give the models of the licensed pipelines locks of made-up files."""
    for name in ("whisper-large-v3-turbo", "qwen25-omni-7b", "qwen25-vl-7b", "wan22-ti2v-5b"):
        place = checkout / f"materials/models/{name}.json"
        model = json.loads(place.read_text())
        digest = hashlib.sha256(name.encode()).hexdigest()
        files = [
            {"path": f"{role}/{role}.bin", "role": role, "size": 1, "sha256": digest} for role in sorted(model["roles"])
        ]
        place.write_text(json.dumps({**model, "revision": "0" * 40, "files": files}))
