"""Caption every clip: a person's label where there is one, else Qwen2.5-VL on the clip's own frames with its context.

An answer that breaks a rule is asked for once more with the complaint; after that the clip is left to a person.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.progress import track
from reelgraph.stage import Stage
from reelgraph.text.captions import MOST_CLIPS_OF_ONE_TEXT, caption_problems
from reelgraph.text.names import characters_in
from reelgraph.text.ranges import frames
from reelgraph.words.answers import Answer
from reelgraph.words.prompts import Context, context_of, judge, question


@dataclass(frozen=True)
class Inputs:
    """Directories with clips.json, scene-context.json, bible.json and bootstrap.json; maybe a Qwen2.5-VL."""

    clips: Path
    scene_context: Path
    bible: Path
    bootstrap: Path
    model: Path | None


@dataclass(frozen=True)
class Parameters:
    """See schemas/caption.parameters.json."""

    minimum_words: int
    maximum_words: int
    device: str
    dtype: str
    frames: int
    largest_frame_pixels: int
    batch_size: int
    new_tokens: int
    repetition_penalty: float
    compared_clips: int


@dataclass(frozen=True)
class Attempt:
    """One answer to one clip: the caption in it, as the model wrote it, and what is wrong with it."""

    caption: str
    answer: str
    problems: list[str]


def check_label(clip: Mapping[str, Any], text: str, context: Context, bible: Any, parameters: Parameters) -> None:
    """Raise a StageError where a person's label breaks a rule of captions or shows whom its scene does not have."""
    name = f"caption of clip {clip['id']} ({frames(clip)})"
    if problems := caption_problems(text, bible, parameters.minimum_words, parameters.maximum_words):
        raise StageError(f"{name}: {'; '.join(problems)}")
    if absent := sorted(characters_in(text, bible) - context.characters):
        raise StageError(
            f"{name}: shows {absent[0]}, whom its scene does not have; "
            "the label may belong to other frames, else add the character to the scene"
        )


def judge_all(
    answers: Mapping[str, Answer],
    contexts: Mapping[str, Context],
    taken: Sequence[str],
    bible: Mapping[str, Any],
    parameters: Parameters,
) -> dict[str, Attempt]:
    """Return each clip's attempt; ``taken`` are the captions that other clips have already."""
    attempts = {}
    for clip, answer in answers.items():
        caption, problems = judge(answer, contexts[clip], bible, parameters.minimum_words, parameters.maximum_words)
        attempts[clip] = Attempt(caption, answer.text, problems)
    uses = Counter([*taken, *(attempt.caption for attempt in attempts.values() if attempt.caption)])
    for attempt in attempts.values():
        if (count := uses[attempt.caption]) > MOST_CLIPS_OF_ONE_TEXT:
            attempt.problems.append(f"has the caption of {count} clips, at most {MOST_CLIPS_OF_ONE_TEXT} may share one")
    return attempts


def ask(
    clips: Sequence[Mapping[str, Any]], inputs: Inputs, contexts: Any, taken: Any, bible: Any, parameters: Any
) -> Any:
    """Return each clip's attempts, one or two, and how many were asked for twice."""
    # Loading torch takes seconds, and where every clip has a label nothing is asked.
    from reelgraph.words.vision import Look, Viewer

    viewer = Viewer(inputs.model, parameters)
    words = (parameters.minimum_words, parameters.maximum_words)
    attempts: dict[str, list[Attempt]] = {clip["id"]: [] for clip in clips}
    for turn in ("first", "second"):
        open_clips = [clip for clip in clips if not attempts[clip["id"]] or attempts[clip["id"]][-1].problems]
        looks = [
            Look(
                inputs.clips / clip["file"],
                question(
                    contexts[clip["id"]], bible, *words, [p for one in attempts[clip["id"]] for p in one.problems]
                ),
            )
            for clip in open_clips
        ]
        answered = track(viewer.answers(looks), f"caption, {turn} answers", len(looks), "clip")
        answers = {clip["id"]: answer for clip, answer in zip(open_clips, answered, strict=True)}
        good = [tried[-1].caption for tried in attempts.values() if tried and not tried[-1].problems]
        for clip, attempt in judge_all(answers, contexts, [*taken, *good], bible, parameters).items():
            attempts[clip].append(attempt)
    return attempts


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write captions.json, one caption a clip in the order of the clips, and answers.json."""
    clips = read_json(inputs.clips / "clips.json")["clips"]
    scenes = read_json(inputs.scene_context / "scene-context.json")["scenes"]
    bible = read_json(inputs.bible / "bible.json")
    contexts = {clip["id"]: context_of(clip, scenes) for clip in clips}
    labels = {label["clip"]: label["text"] for label in read_json(inputs.bootstrap / "bootstrap.json")["labels"]}
    for clip in clips:
        if clip["id"] in labels:
            check_label(clip, labels[clip["id"]], contexts[clip["id"]], bible, parameters)
    unlabelled = [clip for clip in clips if clip["id"] not in labels]
    if unlabelled and inputs.model is None:
        raise StageError(
            f"clip {unlabelled[0]['id']} ({frames(unlabelled[0])}): has no label and there is no captioning model; "
            "write a label whose frames contain the clip, or give the pipeline a vision model"
        )
    compared = [clip for clip in clips if clip["id"] in labels][: parameters.compared_clips] if inputs.model else []
    asked = [clip for clip in clips if clip in unlabelled or clip in compared]
    attempts = ask(asked, inputs, contexts, list(labels.values()), bible, parameters) if asked else {}
    captions = []
    for clip in clips:
        text, source = labels.get(clip["id"], ""), "training_caption"
        if clip["id"] not in labels:
            last = attempts[clip["id"]][-1]
            text, source = ("", "needs-person") if last.problems else (last.caption, "model")
        captions.append(
            {"clip": clip["id"], "start": clip["start"], "end": clip["end"], "text": text, "source": source}
        )
    write_json(out / "captions.json", {"captions": captions})
    write_json(
        out / "answers.json",
        {
            "asked": len(asked),
            "retried": sum(len(tried) > 1 for tried in attempts.values()),
            "needs_person": sum(caption["source"] == "needs-person" for caption in captions),
            "answers": [
                {
                    "clip": clip["id"],
                    "compared": clip["id"] in labels,
                    "attempts": [{"answer": one.answer, "problems": one.problems} for one in attempts[clip["id"]]],
                }
                for clip in asked
            ],
        },
    )


OUTPUTS = {"captions.json": "captions", "answers.json": "answers"}
STAGE = Stage(name="caption", inputs=Inputs, parameters=Parameters, outputs=OUTPUTS, run=run)

if __name__ == "__main__":
    STAGE.main()
