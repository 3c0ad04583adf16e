"""What asking the models promises, with tiny random models through the released models' own code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from test_caption import BUNNY, CLIPS, FRANK
from test_caption import build as build_captions

from reelgraph.errors import StageError
from reelgraph.stages import qwen25_omni_tiny, qwen25_vl_tiny, transcript_disambiguate
from reelgraph.words.answers import Answer
from reelgraph.words.candidates import candidates_of, distance, sound, with_candidate
from reelgraph.words.generate import in_batches
from reelgraph.words.vision import read_clip

NAMES = {
    "series": "S",
    "characters": [{"name": "Big Buck Bunny", "aliases": ["Bunny"]}, {"name": "Rinky", "aliases": []}],
    **{kind: [] for kind in ("villains", "places", "gadgets")},
}
TINY = {"seed": 1, "width": 32, "layers": 2}
HEAR: dict[str, Any] = {
    **{"device": "cpu", "dtype": "float32", "batch_size": 2, "new_tokens": 8, "least_similarity": 0.7},
    **{"most_candidates": 4, "largest_distance": 0.4, "padding_seconds": 0.1},
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for module in (qwen25_vl_tiny, qwen25_omni_tiny):
        made[module.STAGE.name] = tmp_path_factory.mktemp("model")
        module.STAGE.execute({}, TINY, made[module.STAGE.name])
    return made


def write_clips(folder: Path) -> None:
    folder.mkdir()
    for number, clip in enumerate(CLIPS):
        with av.open(folder / clip["file"], "w") as container:
            stream = container.add_stream("libx264", rate=16, options={"crf": "18"})
            stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
            for frame in range(9):
                grey = np.full((64, 64, 3), 20 * frame + 40 * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(stream.encode())


def test_clip_whose_answers_cannot_be_used_is_left_to_a_person_and_both_answers_are_kept(
    tmp_path: Path, models: dict[str, Path]
) -> None:
    write_clips(tmp_path / "clips")
    made = [
        build_captions(tmp_path, {"a-2-51": FRANK}, model=models["qwen25-vl-tiny"], folder=tmp_path / name)
        for name in ("first", "second")
    ]
    captions, answers = made[0]
    assert [(caption["text"], caption["source"]) for caption in captions] == [
        (FRANK, "training_caption"),
        ("", "needs-person"),
    ]
    assert (answers["asked"], answers["retried"], answers["needs_person"]) == (2, 2, 1)
    assert [(entry["clip"], entry["compared"], len(entry["attempts"])) for entry in answers["answers"]] == [
        ("a-2-51", True, 2),
        ("a-62-95", False, 2),
    ]
    assert all(attempt["problems"] for entry in answers["answers"] for attempt in entry["attempts"])
    assert made[0] == made[1]


def test_model_is_not_asked_for_labelled_clips(tmp_path: Path, models: dict[str, Path]) -> None:
    (tmp_path / "clips").mkdir()
    labels = {"a-2-51": FRANK, "a-62-95": BUNNY}
    assert build_captions(tmp_path, labels, model=models["qwen25-vl-tiny"], compared_clips=0)[1]["asked"] == 0


def caption_answer(text: str, *characters: str) -> Answer:
    return Answer(json.dumps({"caption": text, "characters": characters}), True)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (Answer("A rabbit.", True), "is not JSON"),
        (Answer("", True), "is empty"),
        (Answer('{"caption": "Bunny and Bunny and', False), "does not end"),
        (caption_answer("Harry stands alone in the yellow meadow and waits"), "uses 'Harry'"),
        (caption_answer("Bunny runs " * 9 + "off"), "repeats itself"),
        (caption_answer("The video shows Bunny in the meadow"), 'talks of the film ("The video")'),
    ],
)
@pytest.mark.parametrize("is_mended", [True, False])
def test_answer_that_cannot_be_used_is_asked_for_once_more_with_the_complaint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Answer, complaint: str, is_mended: bool
) -> None:
    asked: list[list[str]] = []

    class Scripted:
        def __init__(self, directory: Path, settings: Any) -> None: ...

        def answers(self, looks: Any) -> Any:
            asked.append([look.question for look in looks])
            return [caption_answer(BUNNY, "Bunny") if is_mended and len(asked) == 2 else bad for _ in looks]

    monkeypatch.setattr("reelgraph.words.vision.Viewer", Scripted)
    (tmp_path / "clips").mkdir()
    captions, answers = build_captions(tmp_path, {"a-2-51": FRANK}, model=tmp_path, compared_clips=0)
    expected = (BUNNY, "model") if is_mended else ("", "needs-person")
    assert (captions[1]["text"], captions[1]["source"]) == expected
    assert (answers["asked"], answers["retried"], answers["needs_person"]) == (1, 1, int(not is_mended))
    assert len(asked) == 2 and complaint not in asked[0][0]
    assert f"could not be used: it {complaint}" in asked[1][0]
    assert answers["answers"][0]["attempts"][0]["answer"] == bad.text


@pytest.mark.parametrize("missing", ["config.json", "tokenizer_config.json", "model-00001-of-00001.safetensors"])
def test_model_that_lacks_a_file_is_named(tmp_path: Path, models: dict[str, Path], missing: str) -> None:
    write_clips(tmp_path / "clips")
    shutil.copytree(models["qwen25-vl-tiny"], tmp_path / "model")
    (tmp_path / "model" / missing).unlink()
    with pytest.raises(StageError, match=r"model: (holds no|cannot be loaded)"):
        build_captions(tmp_path, {}, model=tmp_path / "model")


def test_model_that_lacks_weights_is_named_and_not_filled_with_noise(tmp_path: Path, models: dict[str, Path]) -> None:
    write_clips(tmp_path / "clips")
    shutil.copytree(models["qwen25-vl-tiny"], tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 3
    config["text_config"]["layer_types"] = ["full_attention"] * 3
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(StageError, match=r"model: its weights lack '.*layers.2"):
        build_captions(tmp_path, {}, model=tmp_path / "model")


def test_gpu_that_is_not_there_is_named(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    write_clips(tmp_path / "clips")
    with pytest.raises(StageError, match="device 'cuda': this machine offers no GPU"):
        build_captions(tmp_path, {}, model=models["qwen25-vl-tiny"], device="cuda")


def test_clip_that_is_no_film_is_named(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("no film")
    with pytest.raises(StageError, match=r"clip\.mp4: cannot be decoded"):
        read_clip(tmp_path / "clip.mp4", 4)


def test_frames_are_spread_over_the_clip_and_short_clips_show_some_twice(tmp_path: Path) -> None:
    write_clips(tmp_path / "clips")
    frames, rate = read_clip(tmp_path / "clips" / CLIPS[0]["file"], 4)
    assert frames.shape == (4, 3, 64, 64) and rate == pytest.approx(16 * 4 / 9)
    assert [round(float(frame.float().mean()) / 20) for frame in frames] == [1, 3, 5, 7]
    assert read_clip(tmp_path / "clips" / CLIPS[0]["file"], 18)[0].shape[0] == 18


@pytest.mark.parametrize("count", [0, 1, 4, 5])
def test_batches_always_have_the_same_size_and_answers_their_order(count: int) -> None:
    sizes = []

    def prepare(batch: Any) -> Any:
        sizes.append(len(batch))
        return batch

    made = list(
        in_batches([str(n) for n in range(count)], 2, prepare, lambda batch: [Answer(text, True) for text in batch], 2)
    )
    assert [answer.text for answer in made] == [str(n) for n in range(count)]
    assert set(sizes) <= {2} and len(sizes) == -(-count // 2)


def line(text: str, start: float = 0.2) -> dict[str, Any]:
    words = [
        {"start": start + n / 5, "end": start + n / 5 + 0.15, "text": f" {word}", "probability": 0.9 - n / 100}
        for n, word in enumerate(text.split())
    ]
    return {"start": words[0]["start"], "end": words[-1]["end"], "text": text, "words": words}


def hear(tmp_path: Path, models: dict[str, Path], lines: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    for name in ("transcript", "names", "source", "out"):
        (tmp_path / name).mkdir()
    with av.open(tmp_path / "master.wav", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        noise = np.random.default_rng(0).integers(-3000, 3000, (1, 32000), dtype=np.int16)
        frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    dropped = [{"start": 5, "end": 6, "text": "You", "reason": "no speech"}]
    (tmp_path / "transcript" / "transcript.json").write_text(json.dumps({"segments": lines, "dropped": dropped}))
    (tmp_path / "names" / "names.json").write_text(json.dumps(NAMES))
    (tmp_path / "source" / "probe.json").write_text(json.dumps({"sound_stream": 0}))
    inputs = {name: tmp_path / name for name in ("transcript", "names", "source")}
    inputs |= {"master": tmp_path / "master.wav", "model": models["qwen25-omni-tiny"]}
    transcript_disambiguate.STAGE.execute(inputs, HEAR, tmp_path / "out")
    return tuple(
        json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("transcript", "disambiguation")
    )


def test_answer_of_nonsense_keeps_the_line_and_is_counted(tmp_path: Path, models: dict[str, Path]) -> None:
    lines = [
        line("Where is Rinkie now?"),
        line("Nothing here."),
        line("The big bug bunny!", 1.0),
        line("Rinky laughs.", 9.0),
    ]
    transcript, heard = hear(tmp_path, models, lines)
    assert transcript["segments"] == lines and len(transcript["dropped"]) == 1
    assert heard["lines"] == 4 and heard["asked"] == heard["fallbacks"] == 2 and heard["changed"] == heard["kept"] == 0
    assert [entry["line"] for entry in heard["answers"]] == [0, 2]
    assert "Where is Rinky now?" in heard["answers"][0]["candidates"]


@pytest.mark.parametrize(
    ("answer", "text", "outcome"),
    [
        (Answer('{"choice": 1}', True), "Where is Rinky now?", "changed"),
        (Answer('{"choice": 0}', True), None, "kept"),
        (Answer('{"choice": 7}', True), None, "not a candidate"),
        (Answer('{"choice": -1}', True), None, "not a candidate"),
        (Answer('{"choice": true}', True), None, "not JSON"),
        (Answer('{"choice": "Harry"}', True), None, "not JSON"),
        (Answer('{"choice": 1, "line": "Harry"}', True), None, "not JSON"),
        (Answer("Where is Harry now?", True), None, "not JSON"),
        (Answer("", True), None, "empty"),
        (Answer("1 1 1 1 1 1", False), None, "endless"),
    ],
)
def test_only_a_candidate_can_be_chosen(answer: Answer, text: str | None, outcome: str) -> None:
    candidates = candidates_of(line("Where is Rinkie now?"), NAMES, 0.7, 0.4, 4)
    chosen, became = transcript_disambiguate.decide(answer, candidates)
    assert (chosen.text if chosen else None, became) == (text, outcome)


@pytest.mark.parametrize(
    ("heard", "best"),
    [
        ("Where is Rinkie now?", "Where is Rinky now?"),
        ("The big bug bunny!", "The Big Buck Bunny!"),
        ("Wrinky's nut fell.", "Rinky's nut fell."),
        ("Where is Rinky now?", None),
        ("Nothing of the kind.", None),
    ],
)
def test_candidates_are_lines_with_a_name_that_sounds_alike(heard: str, best: str | None) -> None:
    found = [one.text for one in candidates_of(line(heard), NAMES, 0.7, 0.4, 4)]
    assert best in found if best else not found
    assert all(distance(heard, text) <= 0.4 for text in found)


def test_name_of_several_words_shares_the_time_of_those_it_replaces() -> None:
    before = line("The big bug bunny!")
    candidate = next(one for one in candidates_of(before, NAMES, 0.7, 0.4, 4) if one.name == "Big Buck Bunny")
    after = with_candidate(before, candidate)
    assert after["text"] == "The Big Buck Bunny!"
    words = after["words"][1:]
    assert [word["text"] for word in words] == [" Big", " Buck", " Bunny!"]
    assert [words[0]["start"], words[-1]["end"]] == pytest.approx(
        [before["words"][1]["start"], before["words"][-1]["end"]]
    )
    assert [word["end"] for word in words[:-1]] == [word["start"] for word in words[1:]]


def test_spellings_that_sound_alike_are_one_sound() -> None:
    assert sound("Phrank") == sound("Franc") and sound("Rinkie") == sound("Rinky") != sound("Rocky")
