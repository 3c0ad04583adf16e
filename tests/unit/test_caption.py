"""What captions promise: a person's label, else an answer that keeps to every rule, else a person is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.errors import StageError
from reelgraph.stages.caption import STAGE, judge_all
from reelgraph.text.captions import caption_problems, text_hash
from reelgraph.text.ranges import contains, first_overlap, is_covered, shared_frames
from reelgraph.text.yaml import read_yaml
from reelgraph.words.answers import Answer
from reelgraph.words.prompts import Context, context_of, judge, question

SMOKE = Path(__file__).parents[2] / "materials" / "smoke"
BIBLE: dict[str, Any] = {
    "series": "Big Buck Bunny",
    "characters": [{"name": "Big Buck Bunny", "aliases": ["Bunny"], "appearance": "A rabbit.", "outfits": []}],
    "villains": [{"name": "Frank", "aliases": [], "appearance": "A squirrel.", "outfits": ["a red cape"]}],
    "places": [{"name": "meadow", "aliases": [], "appearance": "Green."}],
    "gadgets": [],
}
FRANK = "Frank sits on the root of a tree in the sun"
BUNNY = "Big Buck Bunny stands alone in the yellow meadow and waits"
PARAMETERS: dict[str, Any] = {
    **{"minimum_words": 5, "maximum_words": 20, "device": "cpu", "dtype": "float32", "frames": 4, "batch_size": 2},
    **{"largest_frame_pixels": 12544, "new_tokens": 8, "repetition_penalty": 1.05, "compared_clips": 1},
}


def clip(name: str, start: int, end: int, shot: int = 0) -> dict[str, Any]:
    return {"id": name, "start": start, "end": end, "shot": shot, "file": f"{name}.mp4"}


CLIPS = [clip("a-2-51", 2, 51), clip("a-62-95", 62, 95)]


def scene_of(*characters: str, lines: tuple[str, ...] = (), crosses: bool = False) -> dict[str, Any]:
    entries = [{"speaker": None, "text": line, "crosses_cut": crosses} for line in lines]
    shot = {"shot": 0, "start": 0, "end": 120, "lines": entries, "before": "Look up", "after": "and run"}
    told = {"summary": "They wait.", "so_far": "It rained.", "grouped_by": "hand"}
    return {"start": 0, "end": 120, "place": "meadow", "characters": list(characters), "shots": [shot], **told}


def build(
    tmp_path: Path,
    texts: dict[str, str],
    clips: list[dict[str, Any]] = CLIPS,
    characters: tuple[str, ...] = ("Big Buck Bunny", "Frank"),
    model: Path | None = None,
    folder: Path | None = None,
    **changes: Any,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    labels = [{"clip": name, "text": text} for name, text in texts.items()]
    files = {
        "clips/clips.json": {"clips": clips},
        "scene_context/scene-context.json": {"scenes": [scene_of(*characters)]},
        "bible/bible.json": BIBLE,
        "bootstrap/bootstrap.json": {"labels": labels},
    }
    for name, value in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(value))
    inputs = {name: tmp_path / name for name in ("clips", "scene_context", "bible", "bootstrap")}
    if model:
        inputs |= {"model": model}
    out = folder or tmp_path / "out"
    out.mkdir()
    STAGE.execute(inputs, {**PARAMETERS, **changes}, out)
    return json.loads((out / "captions.json").read_text())["captions"], json.loads((out / "answers.json").read_text())


def test_each_clip_has_its_label_in_the_order_of_the_clips_and_no_model_is_asked(tmp_path: Path) -> None:
    captions, answers = build(tmp_path, {"a-62-95": BUNNY, "a-2-51": FRANK})
    assert captions == [
        {"clip": "a-2-51", "start": 2, "end": 51, "text": FRANK, "source": "training_caption"},
        {"clip": "a-62-95", "start": 62, "end": 95, "text": BUNNY, "source": "training_caption"},
    ]
    assert answers == {"asked": 0, "retried": 0, "needs_person": 0, "answers": []}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Frank waves to Harry in the sun", r"clip a-2-51 \(frames 2-51\): uses 'Harry'"),
        ("Frank sits", "clip a-2-51 .* has 2 words, expected 5 to 20"),
        (f"{FRANK} {'and then he waits ' * 3}".strip(), "clip a-2-51 .* has 23 words, expected 5 to 20"),
        ("The video shows Frank on a root", r'clip a-2-51 .* talks of the film \("The video"\)'),
        (f"{FRANK}\n", "clip a-2-51 .* has line breaks or blanks"),
    ],
)
def test_label_that_breaks_a_rule_is_an_error_that_names_the_clip(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, {"a-2-51": text, "a-62-95": BUNNY})


def test_character_whom_the_scene_does_not_have_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"caption of clip a-62-95 .*: shows Big Buck Bunny, whom its scene does not"):
        build(tmp_path, {"a-2-51": FRANK, "a-62-95": BUNNY}, characters=("Frank",))


def test_clip_without_label_and_without_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        StageError, match=r"clip a-62-95 \(frames 62-95\): has no label and there is no captioning model"
    ):
        build(tmp_path, {"a-2-51": FRANK})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Still " + "the grey mill runs and " * 12, "repeats itself"),
        ("Frank runs up. Frank runs up. The mill stands still", 'repeats itself ("frank runs up" stands twice'),
        ("Frank runs on and on and on to the mill", None),
        ('Frank points up and shouts "Hello there" to the sky', 'quotes "Hello there", which nobody says'),
        ("Frank points up and shouts \u201cCome here\u201d to the sky", None),
        ('Frank points up and shouts "come here" to the sky', None),
        ('Frank points up and shouts "never to the sky', 'quotes "never to the sky"'),
        ("Frank points up and shouts \u2018don\u2019t\u2019 to the sky", 'quotes "don\u2019t"'),
        ("Frank points up and shouts \u2018come here\u2019 to the sky", None),
        ("Frank points up and shouts \u00abnever\u00bb to the sky", 'quotes "never"'),
        ("Frank points up and shouts \u201enever\u201c to the sky", 'quotes "never"'),
        ("Frank points at a nut and the squirrels' tree, Frank's ears up", None),
    ],
)
def test_captions_repeat_nothing_and_quote_only_what_is_said(text: str, problem: str | None) -> None:
    problems = caption_problems(" ".join(text.split()), BIBLE, 5, 90, ["Frank, come here!"])
    assert ([problem in found for found in problems] == [True]) if problem else problems == []


def test_line_over_a_cut_may_be_quoted_whole() -> None:
    whole = context_of(CLIPS[0], [scene_of("Frank", lines=("at the tree",), crosses=True)])
    assert caption_problems('Frank calls "look up at the tree" loudly', BIBLE, 5, 20, whole.spoken) == []
    alone = context_of(CLIPS[0], [scene_of("Frank", lines=("at the tree",))])
    assert caption_problems('Frank calls "look up at the tree" loudly', BIBLE, 5, 20, alone.spoken) != []


def context(*characters: str) -> Context:
    return context_of(CLIPS[0], [scene_of(*characters, lines=("Come here",))])


def said(caption: Any, characters: Any = ()) -> str:
    return json.dumps({"caption": caption, "characters": list(characters)})


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Answer(said(FRANK, ["Frank"]), True), None),
        (Answer(f"```json\n{said(FRANK)}\n```", True), None),
        (Answer("", True), "is empty"),
        (Answer(FRANK, True), "is not JSON"),
        (Answer("[" * 100000, True), "is not JSON"),
        (Answer(said(FRANK), False), "does not end"),
        (Answer(json.dumps([FRANK]), True), "is not an object with exactly the fields caption, characters"),
        (Answer(json.dumps({"caption": FRANK}), True), "is not an object with exactly the fields"),
        (Answer(said(7), True), "has a field 'caption' that is not a str"),
        (Answer(said("  "), True), "has an empty caption"),
        (Answer(said("Harry sits on the root of a tree"), True), "uses 'Harry'"),
        (Answer(said(FRANK, ["Harry"]), True), "lists 'Harry' among the characters"),
        (Answer(said(FRANK, [7]), True), "lists '7' among the characters"),
        (Answer(said(FRANK, [["Frank"]]), True), "lists '['Frank']' among the characters"),
        (Answer(said(FRANK, [{"name": "Frank"}]), True), "lists '{'name': 'Frank'}' among the characters"),
        (Answer(said(f"{FRANK} \ud800"), True), "is not JSON"),
        (Answer(said(FRANK, ["\ud800"]), True), "is not JSON"),
        (Answer(said(f"{FRANK}\0"), True), "has a character that cannot be seen"),
        (Answer(said(FRANK.replace("F", "\u200bF")), True), "has a character that cannot be seen"),
        (Answer(said(BUNNY), True), "shows Big Buck Bunny, whom its scene does not have"),
        (Answer(said(f"{FRANK} and calls out 'oh' \"never\""), True), 'quotes "oh"'),
    ],
)
def test_answer_that_cannot_be_used_says_why(answer: Answer, problem: str | None) -> None:
    caption, problems = judge(answer, context("Frank"), BIBLE, 5, 20)
    assert (problems == []) == (problem is None)
    assert problem is None or problem in problems[0]
    assert caption == FRANK or problems


def test_one_caption_of_more_than_two_clips_is_refused_for_all_of_them() -> None:
    class Words:
        minimum_words, maximum_words = 5, 20

    answers = {name: Answer(said(FRANK), True) for name in ("a", "b")}
    contexts = {name: context("Frank") for name in answers}
    assert not any(attempt.problems for attempt in judge_all(answers, contexts, [], BIBLE, Words()).values())
    refused = judge_all(answers, contexts, [FRANK], BIBLE, Words())
    assert all("has the caption of 3 clips" in attempt.problems[0] for attempt in refused.values())


def test_question_holds_what_is_known_and_the_complaint() -> None:
    asked = question(context("Frank"), BIBLE, 5, 20, ["is empty"])
    known = (
        "Frank: A squirrel.",
        "a red cape",
        "meadow: Green.",
        "They wait.",
        "It rained.",
        "somebody: Come here",
        "Look up",
    )
    for part in (*known, "5 to 20 words", "Your last answer could not be used: it is empty."):
        assert part in asked
    assert "A rabbit" not in asked
    assert "Your last answer" not in question(context("Frank"), BIBLE, 5, 20)


@pytest.mark.parametrize(
    "opener",
    [
        *(
            "The video shows Frank",
            "This clip has Frank",
            "In this video, Frank sits",
            "the clip is of Frank",
            "We see Frank",
        ),
        *(
            "In the scene, Frank sits",
            "Here we see Frank",
            "The scene shows Frank",
            "This is a video of Frank",
            "A shot features Frank",
        ),
        "Frank sits. The camera footage ends. This footage is short",
    ],
)
def test_caption_that_talks_of_the_film_is_refused(opener: str) -> None:
    assert [problem for problem in caption_problems(opener, BIBLE, 1, 60) if "talks of the film" in problem]


@pytest.mark.parametrize(
    "text", ["Frank films the clip of his nail", "A clipped hedge. The picturesque meadow is calm. A framed stone"]
)
def test_words_that_only_look_like_an_opener_are_fine(text: str) -> None:
    assert caption_problems(text, BIBLE, 1, 60) == []


def test_hash_of_a_caption_is_that_of_its_utf8_text() -> None:
    assert text_hash("é") == "sha256:4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"


ranges = st.tuples(st.integers(0, 40), st.integers(1, 15)).map(lambda pair: {"start": pair[0], "end": sum(pair)})


def frames_of(entry: dict[str, int]) -> set[int]:
    return set(range(entry["start"], entry["end"]))


@given(ranges, st.lists(ranges, max_size=8))
def test_ranges_mean_what_their_frames_mean(wanted: dict[str, int], others: list[dict[str, int]]) -> None:
    assert is_covered(wanted, others) == (frames_of(wanted) <= set().union(*map(frames_of, others)))
    for other in others:
        assert shared_frames(wanted, other) == len(frames_of(wanted) & frames_of(other))
        assert contains(other, wanted) == (frames_of(wanted) <= frames_of(other))
    assert (first_overlap(others) is None) == (
        sum(len(frames_of(other)) for other in others) == len(set().union(*map(frames_of, others)))
    )


def test_smoke_labels_tile_the_scenes_and_keep_to_the_bible() -> None:
    bible, scenes = (read_yaml(SMOKE / f"{name}.yaml") for name in ("bible", "scenes"))
    for kind in ("characters", "villains", "places", "gadgets"):
        bible[kind] = [{"aliases": [], **entry} for entry in bible[kind]]
    labels = read_yaml(SMOKE / "labels.yaml")["labels"]
    assert [label["start"] for label in labels] == [0, *(label["end"] for label in labels[:-1])]
    assert labels[-1]["end"] == scenes[-1]["end"]
    for entry in labels:
        assert caption_problems(entry["training_caption"], bible, 15, 60) == []
        assert any(contains(scene, entry) for scene in scenes)
