"""What a reader of the report can rely on."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json, tree_files, write_json
from reelgraph.report.episodes import spoken_lines
from reelgraph.report.loss import Losses, loss_curve, read_losses
from reelgraph.report.page import RULES, duration, plain, rule_colour
from reelgraph.stage import SCHEMAS
from reelgraph.stages.report import STAGE
from reelgraph.train.video import write_video

PARAMETERS = {
    "title": "Big Buck Bunny, a test",
    "attributions": ["(c) Blender Foundation, bigbuckbunny.org, CC BY 3.0"],
}
FPS, SHOTS, SHOT_FRAMES, CLIP_FRAMES = 24, 4, 40, 33
HASH = f"sha256:{'0' * 64}"
CAPTION = "A large grey rabbit stands in a green meadow and looks at an orange butterfly on a flower."
LINE = "he was not an ill man"


def finish(directory: Path, stage: str, parameters: Mapping[str, Any] | None = None, **inputs: Any) -> Path:
    """Write the stage.json that the runner would write for what lies in ``directory``."""
    record = {"stage": stage, "parameters": dict(parameters or {}), "inputs": inputs, "files": tree_files(directory)}
    write_json(directory / "stage.json", record)
    return directory


def make_source(directory: Path) -> Path:
    directory.mkdir(parents=True)
    frames = SHOTS * SHOT_FRAMES
    video = {
        "codec": "h264",
        "width": 1280,
        "height": 720,
        "sample_aspect_ratio": "1/1",
        "fps": FPS,
        "fps_rational": f"{FPS}/1",
        "frames": frames,
        "seconds": frames / FPS,
        "start_seconds": 0,
        "variable_rate": False,
    }
    probe = {
        "episode": "one",
        "title": "Big Buck Bunny",
        "language": "en",
        "licence": "CC-BY-3.0",
        "sha256": "1" * 64,
        "bytes": 9,
    }
    write_json(directory / "probe.json", {**probe, "video": video, "audio": []})
    return finish(directory, "source", master=HASH)


def make_shots(directory: Path) -> Path:
    directory.mkdir(parents=True)
    shots = [{"start": SHOT_FRAMES * shot, "end": SHOT_FRAMES * (shot + 1), "score": 12.5} for shot in range(SHOTS)]
    write_json(directory / "shots.json", {"fps": FPS, "frames": SHOTS * SHOT_FRAMES, "shots": shots})
    return finish(directory, "shots", {"threshold": 3.0}, master=HASH)


def make_clips(directory: Path) -> Path:
    """Every shot but the last gives a clip and a rejected tail; the last is black."""
    (directory / "first_frames").mkdir(parents=True)
    clips, rejects = [], []
    for shot in range(SHOTS - 1):
        start, name = SHOT_FRAMES * shot, f"s{shot:04}c00"
        picture = Image.linear_gradient("L").resize((832, 480))
        Image.merge("RGB", [picture, picture.rotate(90 * shot), Image.new("L", picture.size, 60)]).save(
            directory / f"first_frames/{name}.png"
        )
        clips.append(
            {
                "id": name,
                "file": f"clips/{name}.mp4",
                "first_frame": f"first_frames/{name}.png",
                "start": start,
                "end": start + CLIP_FRAMES,
                "frames": CLIP_FRAMES,
                "shot": shot,
            }
        )
        rejects.append(
            {"start": start + CLIP_FRAMES, "end": start + SHOT_FRAMES, "rule": "remainder", "value": 7, "threshold": 17}
        )
    rejects.append(
        {
            "start": SHOT_FRAMES * (SHOTS - 1),
            "end": SHOT_FRAMES * SHOTS,
            "rule": "black",
            "value": 4.25,
            "threshold": 10,
        }
    )
    size = {"fps": FPS, "width": 832, "height": 480, "frames": SHOTS * SHOT_FRAMES}
    write_json(directory / "clips.json", {**size, "clips": clips, "rejects": rejects})
    return finish(directory, "clips", {"fps": FPS, "lengths": [17, 33]}, master=HASH)


def make_transcript(directory: Path) -> Path:
    directory.mkdir(parents=True)
    words = [
        {"start": 0.3 + 0.2 * number, "end": 0.5 + 0.2 * number, "text": f" {word}", "probability": 0.9}
        for number, word in enumerate(LINE.split())
    ]
    write_json(
        directory / "transcript.json",
        {"segments": [{"start": 0.3, "end": 1.5, "text": LINE, "words": words}], "dropped": []},
    )
    return finish(directory, "transcript-base", {"language": "en"}, master=HASH)


def make_captions(directory: Path, text: str = CAPTION) -> Path:
    directory.mkdir(parents=True)
    captions = [
        {
            "clip": f"s{shot:04}c00",
            "start": SHOT_FRAMES * shot,
            "end": SHOT_FRAMES * shot + CLIP_FRAMES,
            "text": text,
            "source": "override" if shot == 1 else "training_caption",
        }
        for shot in range(SHOTS - 1)
    ]
    write_json(directory / "captions.json", {"captions": captions})
    return finish(directory, "reviewed", {"minimum_words": 8})


MAKERS = {
    "source": make_source,
    "shots": make_shots,
    "clips": make_clips,
    "transcript": make_transcript,
    "captions": make_captions,
}


def make_dataset(directory: Path) -> dict[str, Path]:
    """Make what comes after the episodes, but the samples, in the layouts of its stages."""
    for name in ("package", "plan", "checkpoint", "model"):
        (directory / name).mkdir(parents=True)
    summary = {
        "name": "test",
        "trigger": "",
        "hash": HASH,
        "episodes": 1,
        "clips": 3,
        "frames": 99,
        "seconds": 4.125,
        "distinct_prompts": 3,
        "buckets": [{"width": 832, "height": 480, "frames": 33, "clips": 3}],
    }
    write_json(directory / "package/dataset.json", summary)
    package = finish(directory / "package", "wan22-package", {"name": "test"}, clips={"one": HASH})
    plan = {
        "parameters": {
            "seed": 7,
            "epochs": 1,
            "learning_rate": 2e-5,
            "lora_rank": 16,
            "held_out_timesteps": [100, 500],
        },
        "clips": 2,
        "micro_steps": 80,
        "total_steps": 20,
        "dropped": [{"clip": "one/s0002c00", "reason": "held out to measure the loss"}],
        "segments": [
            {"file": f"segments/{number}.jsonl", "first": 10 * number + 1, "last": 10 * number + 10}
            for number in range(2)
        ],
    }
    write_json(directory / "plan/plan.json", plan)
    losses = [
        {"step": step, "loss": 0.9 - 0.01 * step + 0.1 * (step % 3), "learning_rate": 2e-5} for step in range(1, 21)
    ]
    (directory / "checkpoint/loss.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in losses), encoding="utf-8"
    )
    segments = [{"first": 1, "last": 20, "mean_loss": 0.8, "held_out_loss_before": 1.25, "held_out_loss_after": 1.125}]
    header = {"modelspec.title": "test", "reelgraph.rank": "16"}
    checkpoint = {
        "metadata": header,
        "files": {},
        "tensors": 2,
        "parameters": 3072,
        "largest_b": 0.5,
        "segments": segments,
    }
    write_json(directory / "checkpoint/checkpoint.json", checkpoint)
    model = {"name": "wan22-tiny", "architecture": "Wan2.2-TI2V-5B", "weights": "random", "description": "For tests."}
    write_json(directory / "model/model.json", model)
    return {
        "package": package,
        "plan": finish(directory / "plan", "wan22-plan", {"seed": 7}),
        "checkpoint": finish(directory / "checkpoint", "checkpoint"),
        "model": finish(directory / "model", "wan22-tiny", {"seed": 22}),
    }


def make_samples(directory: Path, package: Path) -> Path:
    directory.mkdir()
    picture = Image.linear_gradient("L").convert("RGB").resize((128, 96))
    picture.save(directory / "0.png")
    write_video(directory / "1.mp4", [picture.rotate(30 * number) for number in range(9)], fps=8, crf=20)
    picture.save(package / "first.png")
    shape = {"width": 128, "height": 96, "seed": 1}
    samples = [
        {
            "kind": "text-to-image",
            "file": "0.png",
            "prompt": "A meadow.",
            "frames": 1,
            "clip": None,
            "first_frame": None,
            **shape,
        },
        {
            "kind": "image-to-video",
            "file": "1.mp4",
            "prompt": "A rabbit runs.",
            "frames": 9,
            "clip": "one/s0000c00",
            "first_frame": "first.png",
            **shape,
        },
    ]
    write_json(directory / "samples.json", {"samples": samples})
    return finish(directory, "samples", {"steps": 8})


@pytest.fixture(scope="session")
def run_outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Outputs of a small run with one episode, for reading."""
    return make_run(tmp_path_factory.mktemp("run"), ["one"])


def make_run(directory: Path, episodes: list[str]) -> dict[str, Any]:
    """Make the outputs of a small run in the layouts of its stages; return them as the stage's inputs."""
    chains = {part: {name: make(directory / name / part) for name in episodes} for part, make in MAKERS.items()}
    dataset = make_dataset(directory)
    return {**chains, **dataset, "samples": make_samples(directory / "samples", dataset["package"])}


def write_page(run: Mapping[str, Any], out: Path, parameters: Mapping[str, Any] = PARAMETERS) -> str:
    """Run the stage and return its page."""
    out.mkdir()
    STAGE.execute(run, parameters, out)
    return (out / "index.html").read_text(encoding="utf-8")


@dataclass
class Page(HTMLParser):
    """What a browser would see of a page: elements with their attributes in order, and the text."""

    source: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.source)
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, *names: str) -> list[str]:
        """Return all values of attributes of these names."""
        return [
            value for _, attributes in self.elements for name, value in attributes.items() if name in names and value
        ]


@pytest.fixture(scope="session")
def page(run_outputs: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(write_page(run_outputs, tmp_path_factory.mktemp("page") / "out"))


def test_page_needs_no_other_file_no_network_and_no_script(page: Page) -> None:
    addresses = page.values("src", "href", "poster", "xlink:href", "data", "srcset")
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "url(" not in page.source.replace("url(#", "") and "@import" not in page.source


def test_same_inputs_give_the_same_bytes(run_outputs: dict[str, Any], page: Page, tmp_path: Path) -> None:
    assert write_page(run_outputs, tmp_path / "again") == page.source


def test_every_clip_is_shown_with_picture_caption_time_shot_and_lines(page: Page) -> None:
    pictures = [attributes for tag, attributes in page.elements if tag == "img" and "s000" in (attributes["alt"] or "")]
    assert len([picture for picture in pictures if CAPTION in (picture["alt"] or "")]) == 3
    assert page.text.count(CAPTION) == 3
    for start, end, shot, first in (("0:00.000", "0:01.375", 0, 0), ("0:01.667", "0:03.042", 1, 40)):
        assert f"{start} \u2013 {end}shot {shot}, frames {first}\u2013{first + 33}" in page.text
    assert "“he was not an ill …”" in page.text
    assert "written by hand" in page.text and "corrected by hand" in page.text
    assert "Not trained on: held out to measure the loss" in page.text


def test_every_reject_is_shown_with_rule_value_and_limit(page: Page) -> None:
    rows = page.source.split("<tr>")
    assert any("120\u2013160" in row and ">4.25<" in row and ">10<" in row for row in rows)
    assert "Measured: 4.25 mean grey, 0 to 255; limit 10." in page.text
    assert sum("remainder" not in row and ">7<" in row and ">17<" in row for row in rows) == 3


def test_every_rule_of_the_clips_stage_is_explained_in_words_and_colour(page: Page) -> None:
    rules = read_json(SCHEMAS / "clips.json")["properties"]["rejects"]["items"]["properties"]["rule"]["enum"]
    assert set(rules) == set(RULES)
    assert len({rule_colour(rule) for rule in [*rules, "unknown"]}) == len(rules) + 1
    assert all(f".{rule_colour(rule)} {{" in page.source for rule in [*rules, "unknown"])
    assert all(RULES[rule][0] in page.text for rule in ("black", "remainder"))


def test_summary_counts_what_the_stages_made(page: Page) -> None:
    for words in (
        "A LoRA of 3,072 parameters for wan22-tiny, trained for 20 steps on 2 clips from 1 episode.",
        "6.7 s, 160 frames",
        "61.9 %",
        "2 written by hand, 1 corrected by hand",
        "80 clips seen, in 2 segments",
        "0.8550mean of the last 2 steps; 1.0350 over the first",
        "The first step's loss is 0.9900, the last one's 0.9000.",
        "1.1250on clips not trained on; 1.2500 before training",
        "4.1 s; 1 not trained on",
    ):
        assert words in page.text


def test_untrained_model_is_called_untrained(run_outputs: dict[str, Any], page: Page, tmp_path: Path) -> None:
    assert "random weights that were never trained" in page.text
    released = tmp_path / "model"
    released.mkdir()
    write_json(
        released / "model.json",
        {"name": "TI2V-5B", "architecture": "Wan2.2-TI2V-5B", "weights": "released", "description": ""},
    )
    text = Page(write_page({**run_outputs, "model": released}, tmp_path / "out")).text
    assert "released weights" in text and "random" not in text


def test_samples_stand_with_their_prompts_and_the_frame_they_came_from(page: Page) -> None:
    [video] = [attributes for tag, attributes in page.elements if tag == "video"]
    assert video["src"].startswith("data:video/mp4;base64,") and video["poster"].startswith("data:image/jpeg;base64,")
    assert "Text to image A meadow." in page.text and "Image to video A rabbit runs." in page.text
    assert any(attributes.get("alt") == "First frame given: clip one/s0000c00" for _, attributes in page.elements)


def test_provenance_names_every_stage_its_hash_and_parameters(run_outputs: dict[str, Any], page: Page) -> None:
    for stage in (
        "source",
        "shots",
        "clips",
        "transcript-base",
        "reviewed",
        "wan22-package",
        "wan22-plan",
        "checkpoint",
        "samples",
    ):
        assert f">{stage}" in page.source
    assert content_hash(run_outputs["clips"]["one"]) in page.values("title")
    assert "minimum words 8" in page.text and "lengths 17, 33" in page.text


def test_attributions_stand_on_the_page(page: Page) -> None:
    assert PARAMETERS["attributions"][0] in page.text


def test_page_can_be_read_aloud(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.elements if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1 and all(below - above <= 1 for above, below in pairwise(levels))
    assert all(attributes.get("alt") for tag, attributes in page.elements if tag == "img")
    assert ("html", {"lang": "en"}) in page.elements


def test_links_lead_somewhere_and_names_are_unique(page: Page) -> None:
    names = page.values("id")
    assert len(names) == len(set(names))
    assert {address[1:] for address in page.values("href", "xlink:href") if address.startswith("#")} <= set(names)


@pytest.mark.parametrize("theme", [0, 1, 2])
def test_text_stands_out_in_light_dark_and_print(page: Page, theme: int) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#\w+)", re.findall(r":root \{(.*?)\}", page.source, re.DOTALL)[theme]))
    for background in ("paper", "notice"):
        for text in ("ink", "muted", "accent"):
            assert contrast(colours[text], colours[background]) >= 4.5, (text, background)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as the Web Content Accessibility Guidelines define it, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_more_than_three_episodes_are_folded(tmp_path: Path) -> None:
    three = write_page(make_run(tmp_path / "3", ["a", "b", "c"]), tmp_path / "out3")
    four = write_page(make_run(tmp_path / "4", ["a", "b", "c", "d"]), tmp_path / "out4")
    assert '<details class="episode">' not in three and three.count('class="episode"') == 3
    assert four.count('<details class="episode">') == 4
    assert "2 clips from 4 episodes" in Page(four).text
    names = Page(four).values("id")
    assert len(names) == len(set(names))


def test_words_from_outside_are_never_markup(tmp_path: Path) -> None:
    run, trap = make_run(tmp_path / "run", ["one"]), '<script>alert("&")</script> rabbit\'s'
    run["captions"] = {"one": make_captions(tmp_path / "captions", trap)}
    page = Page(write_page(run, tmp_path / "out", {"title": trap, "attributions": [trap]}))
    assert "script" not in {tag for tag, _ in page.elements}
    assert page.text.count(trap) == 6


def test_clip_pictures_are_small(page: Page) -> None:
    pictures = [value for value in page.values("src") if value.startswith("data:image/jpeg")]
    sizes = [Image.open(io.BytesIO(base64.b64decode(value.partition(",")[2]))).size for value in pictures]
    assert sizes.count((192, 111)) == 3


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        (
            "one/captions/captions.json",
            {"captions": [{"clip": "s0009c00", "text": "x", "source": "override"}]},
            "one: caption for clip 's0009c00'",
        ),
        (
            "one/shots/shots.json",
            {"fps": 24, "frames": 200, "shots": []},
            "one: clips and rejects have 160 frames, the episode has 200",
        ),
        ("checkpoint/loss.jsonl", {"step": 1}, "loss.jsonl: line 1 is no step"),
        ("checkpoint/loss.jsonl", None, "loss.jsonl: holds no step"),
        ("samples/samples.json", {"samples": [{"file": "9.png"}]}, "sample '9.png': there is no such file"),
        (
            "samples/samples.json",
            {"samples": [{"file": "samples.json"}]},
            "sample 'samples.json': the page can show .png and .mp4",
        ),
        ("samples/1.mp4", None, "1.mp4: cannot be read as a film"),
        (
            "one/clips/first_frames/s0001c00.png",
            None,
            "one: first frame of clip 's0001c00': s0001c00.png cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, file: str, content: Any, sentence: str) -> None:
    run = make_run(tmp_path / "run", ["one"])
    (tmp_path / "run" / file).write_text("" if content is None else json.dumps(content), encoding="utf-8")
    with pytest.raises(StageError, match=re.escape(sentence)):
        write_page(run, tmp_path / "out")


def test_loss_that_is_no_number_is_named(tmp_path: Path) -> None:
    (tmp_path / "loss.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": NaN}\n', encoding="utf-8")
    with pytest.raises(StageError, match=r"loss\.jsonl: line 2: the loss is nan"):
        read_losses(tmp_path / "loss.jsonl")


def test_episode_without_one_of_its_parts_is_named(run_outputs: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(StageError, match="episode 'one' has no transcript"):
        write_page({**run_outputs, "transcript": {}}, tmp_path / "out")


def test_stage_without_record_is_named(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", ["one"])
    (run["plan"] / "stage.json").unlink()
    with pytest.raises(StageError, match=r"plan: has no stage\.json"):
        write_page(run, tmp_path / "out")


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 300))
def test_each_word_of_a_line_is_said_in_exactly_one_of_two_neighbouring_clips(lengths: list[int], cut: int) -> None:
    starts = [sum(lengths[:number]) for number in range(len(lengths))]
    words = [
        {"start": start, "end": start + length, "text": f" w{number}"}
        for number, (start, length) in enumerate(zip(starts, lengths, strict=True))
    ]
    before, after = (list(spoken_lines([{"words": words}], *times)) for times in ((0, cut), (cut, 601)))
    said = [word for line in before + after for word in line.split() if word != "…"]
    assert said == [word["text"].strip() for word in words]
    assert {line.endswith(" …") for line in before} | {line.startswith("… ") for line in after} == {
        bool(before and after)
    }


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_curve_is_one_drawing_in_the_colours_of_the_page(values: list[float]) -> None:
    drawing = loss_curve(Losses(list(range(1, len(values) + 1)), values), [])
    assert drawing.startswith("<svg") and drawing.count("<svg") == 1 and "var(--loss-line)" in drawing
    assert not re.search("#[0-9a-f]{6}", drawing)


def test_curve_of_a_long_run_stays_small() -> None:
    values = [1 / step for step in range(1, 50_001)]
    assert len(loss_curve(Losses(list(range(1, 50_001)), values), [])) < 500_000


@pytest.mark.parametrize(
    ("seconds", "words"), [(8.46, "8.5 s"), (90, "1 min 30 s"), (59.99, "60.0 s"), (3720, "1 h 02 min")]
)
def test_durations_read_like_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"), [(None, "none"), (True, "yes"), (2e-5, "2e-05"), (0.5, "0.5"), ([1, 2], "1, 2"), ("", "none")]
)
def test_values_read_like_values(value: Any, words: str) -> None:
    assert plain(value) == words
