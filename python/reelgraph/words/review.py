"""A static page on which a person reads and corrects an episode's captions beside the playing clips."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.text.captions import text_hash
from reelgraph.text.yaml import read_yaml

TEMPLATE = "review.html.jinja"


def review_rows(
    clips: Sequence[Mapping[str, Any]],
    captions: Sequence[Mapping[str, Any]],
    shots: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, Any]],
    overrides: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return what the page shows of each clip, in order; what nobody has captioned comes with what the model tried."""
    by_clip = {caption["clip"]: caption for caption in captions}
    tried = {answer["clip"]: answer["attempts"] for answer in answers}
    by_frames = {(override["start"], override["end"]): override for override in overrides}
    said = {shot["shot"]: [line["text"] for line in shot["lines"]] for shot in shots}
    rows = []
    for clip in clips:
        caption = by_clip.get(clip["id"])
        if caption is None:
            raise StageError(f"clip {clip['id']}: has no caption; build captions of the same episode again")
        override = by_frames.get((clip["start"], clip["end"]))
        rows.append(
            {
                "clip": clip["id"],
                "start": clip["start"],
                "end": clip["end"],
                "video": f"clips/{clip['id']}.mp4",
                "first_frame": f"first_frames/{clip['id']}.png",
                "caption": caption["text"],
                "replaces": text_hash(caption["text"]),
                "source": caption["source"],
                "lines": said.get(clip["shot"], []),
                "attempts": tried.get(clip["id"], []) if caption["source"] == "needs-person" else [],
                "text": override["text"] if override else caption["text"],
                "by": override["by"] if override else "",
                "reason": override["reason"] if override else "",
            }
        )
    return rows


def write_review(episode: str, outputs: Mapping[str, Path], overrides: Path | None, folder: Path) -> int:
    """Write the page of an episode with its clips into the new directory ``folder``; return how many clips it has.

    ``outputs`` are the directories of the stages source, clips, shot-reference and caption.
    """
    if folder.exists():
        raise StageError(f"{folder}: exists already; name a new directory, nothing is overwritten", status=2)
    clips = read_json(outputs["clips"] / "clips.json")["clips"]
    rows = review_rows(
        clips,
        read_json(outputs["caption"] / "captions.json")["captions"],
        read_json(outputs["shot-reference"] / "shot-reference.json")["shots"],
        read_json(outputs["caption"] / "answers.json")["answers"],
        (read_yaml(overrides) or []) if overrides else [],
    )
    for kind in ("clips", "first_frames"):
        (folder / kind).mkdir(parents=True)
    for clip, row in zip(clips, rows, strict=True):
        shutil.copyfile(outputs["clips"] / clip["file"], folder / row["video"])
        shutil.copyfile(outputs["clips"] / clip["first_frame"], folder / row["first_frame"])
    master = f"sha256:{read_json(outputs['source'] / 'probe.json')['sha256']}"
    jinja = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True)
    # Inside a script element only "</" could end the data early.
    data = json.dumps({"episode": episode, "source": master, "rows": rows}, ensure_ascii=False).replace("</", "<\\/")
    page = jinja.get_template(TEMPLATE).render(episode=episode, rows=rows, data=data)
    (folder / "index.html").write_text(page, encoding="utf-8")
    return len(rows)
