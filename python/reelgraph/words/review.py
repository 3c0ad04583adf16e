"""A static page on which a person reads and corrects an episode's captions beside the playing clips."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.new_folder import new_folder
from reelgraph.stage import validate
from reelgraph.text.captions import text_hash

TEMPLATE = "review.html.jinja"
SOURCES = {"training_caption": "written by hand", "model": "written by the model", "needs-person": "needs a person"}


def place_overrides(
    clips: Sequence[Mapping[str, Any]], overrides: Sequence[Mapping[str, Any]], master: str
) -> tuple[dict[str, Mapping[str, Any]], list[dict[str, Any]]]:
    """Return the override of each clip that has one, and those that fit no clip, each with the reason ``because``."""
    by_frames = {(clip["start"], clip["end"]): clip["id"] for clip in clips}
    placed: dict[str, Mapping[str, Any]] = {}
    left = []
    for override in overrides:
        clip = by_frames.get((override["start"], override["end"]))
        if override["source"] != master:
            left.append({**override, "because": "it is for another master"})
        elif clip is None:
            left.append({**override, "because": "no clip has its frames"})
        elif clip in placed:
            left.append({**override, "because": f"clip {clip} has another correction"})
        else:
            placed[clip] = override
    return placed, left


def review_rows(
    clips: Sequence[Mapping[str, Any]],
    captions: Sequence[Mapping[str, Any]],
    shots: Sequence[Mapping[str, Any]],
    answers: Sequence[Mapping[str, Any]],
    overrides: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Return what the page shows of each clip, in order; what nobody has captioned comes with what the model tried.

    ``overrides`` are those of clips; ``base`` in a row is the hash of the caption that its text was written over.
    """
    by_clip = {caption["clip"]: caption for caption in captions}
    tried = {answer["clip"]: answer["attempts"] for answer in answers}
    said = {
        shot["shot"]: [f"{line['speaker'] or 'somebody'}: \u201c{line['text']}\u201d" for line in shot["lines"]]
        for shot in shots
    }
    rows = []
    for clip in clips:
        caption = by_clip.get(clip["id"])
        if caption is None:
            raise StageError(f"clip {clip['id']}: has no caption; build captions of the same episode again")
        override = overrides.get(clip["id"])
        present = text_hash(caption["text"])
        rows.append(
            {
                "clip": clip["id"],
                "start": clip["start"],
                "end": clip["end"],
                "video": f"clips/{clip['id']}.mp4",
                "first_frame": f"first_frames/{clip['id']}.png",
                "caption": caption["text"],
                "replaces": present,
                "base": override["replaces"] if override else present,
                "source": SOURCES[caption["source"]],
                "lines": said.get(clip["shot"], []),
                "attempts": tried.get(clip["id"], []) if caption["source"] == "needs-person" else [],
                "text": override["text"] if override else caption["text"],
                "by": override["by"] if override else "",
                "reason": override["reason"] if override else "",
            }
        )
    return rows


def time_code(seconds: Fraction) -> str:
    """Return whole seconds as a player shows them, such as ``12:07``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def check_new(folder: Path) -> None:
    """Raise a StageError where something is in the way of the page's new directory."""
    if folder.exists():
        raise StageError(f"{folder}: exists already; name a new directory, nothing is overwritten", status=2)


def write_review(episode: str, outputs: Mapping[str, Path], overrides: Any, folder: Path) -> int:
    """Write the page of an episode with its clips into the new directory ``folder``; return how many clips it has.

    ``outputs`` are the directories of the stages source, clips, shot-reference and caption; ``overrides`` is what a
    file of corrections says.
    """
    check_new(folder)
    clips = read_json(outputs["clips"] / "clips.json")["clips"]
    probe = read_json(outputs["source"] / "probe.json")
    master, fps = f"sha256:{probe['sha256']}", Fraction(probe["video"]["fps_rational"])
    validate(overrides or [], "overrides", "overrides")
    placed, left = place_overrides(clips, overrides or [], master)
    rows = review_rows(
        clips,
        read_json(outputs["caption"] / "captions.json")["captions"],
        read_json(outputs["shot-reference"] / "shot-reference.json")["shots"],
        read_json(outputs["caption"] / "answers.json")["answers"],
        placed,
    )
    for clip, row in zip(clips, rows, strict=True):
        row["at"] = time_code(clip["start"] / fps)
    jinja = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, autoescape=True)
    # Inside a script element only "</" could end the data early.
    limits = read_json(outputs["caption"] / "stage.json")["parameters"]
    words = [limits["minimum_words"], limits["maximum_words"]]
    shown = {"episode": episode, "source": master, "words": words, "rows": rows, "left": left}
    data = json.dumps(shown, ensure_ascii=False)
    page = jinja.get_template(TEMPLATE).render(episode=episode, rows=rows, data=data.replace("</", "<\\/"))
    with new_folder(folder) as part:
        for kind in ("clips", "first_frames"):
            (part / kind).mkdir()
        for clip, row in zip(clips, rows, strict=True):
            shutil.copyfile(outputs["clips"] / clip["file"], part / row["video"])
            shutil.copyfile(outputs["clips"] / clip["first_frame"], part / row["first_frame"])
        (part / "index.html").write_text(page, encoding="utf-8")
    return len(rows)
