"""Words on the real thing: what is heard in the smoke episode and not in the film, and a correction's whole way."""

from __future__ import annotations

import json
import os
import re
import subprocess
from bisect import bisect_right
from difflib import SequenceMatcher
from pathlib import Path

import pytest
from browser import Browser
from real_nix import ROOT, nixw, output_paths
from reel import reel_json

from reelgraph.media.archives import unpack_tar, unpack_zip
from reelgraph.stages.shot_reference import STAGE as SHOT_REFERENCE
from reelgraph.stages.transcript_base import STAGE as TRANSCRIPT
from reelgraph.text.captions import text_hash
from reelgraph.text.yaml import read_yaml
from reelgraph.words.review import write_review

EPISODE = "smoke.episodes.big-buck-bunny-excerpt"
MATERIALS = "lib.x86_64-linux.materials"
FRAME_SECONDS = 1 / 24


def plain(text: str) -> list[str]:
    words = re.sub(r"[^a-z' ]", " ", text.casefold().replace("-", " ")).split()
    return ["mister" if word == "mr" else word for word in words]


def speech_model() -> Path:
    # Building the transcript of the smoke episode has built the model.
    output_paths([f"{EPISODE}.transcript-base"])
    return Path(nixw("eval", "--raw", ".#lib.x86_64-linux.models.whisper-tiny-en.path").output)


@pytest.fixture(scope="module", params=["one by one", "in a batch"])
def heard(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smoke episode's transcript as it is built, and as the licensed episodes' are, in batches."""
    built = Path(output_paths([f"{EPISODE}.transcript-base"])[0])
    if request.param == "one by one":
        return built
    out = tmp_path_factory.mktemp("batch")
    master, source = (Path(output_paths([f"{EPISODE}.{stage}"])[0]) for stage in ("master", "source"))
    inputs = {"master": master / "episode.mp4", "source": source, "model": speech_model()}
    parameters = json.loads((built / "stage.json").read_text())["parameters"]
    TRANSCRIPT.execute(inputs, {**parameters, "batch_size": 8}, out)
    return out


@pytest.fixture
def transcript(heard: Path) -> dict:
    return json.loads((heard / "transcript.json").read_text())


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, float, float]]:
    """Every word of the dialogue with its begin and end in seconds, as aligned by those who made the recordings."""
    archive = Path(output_paths([f"{MATERIALS}.speech"])[0])
    folder, words = tmp_path_factory.mktemp("speech"), []
    for number, line in enumerate(json.loads((ROOT / "materials/smoke/dialogue.json").read_text())):
        unpack_tar(archive, {line["source"].replace(".wav", ".json"): folder / f"{number}.json"})
        for word in json.loads((folder / f"{number}.json").read_text())["w"]:
            if word["t"][0] not in "<[":
                start = line["start"] + word["b"]
                words.append((re.sub(r"\(\d+\)", "", word["t"]), start, start + word["d"]))
    return words


def test_every_sentence_is_found_with_few_errors(transcript: dict) -> None:
    said = [line["text"] for line in json.loads((ROOT / "materials/smoke/dialogue.json").read_text())]
    heard = plain(" ".join(segment["text"] for segment in transcript["segments"]))
    true = plain(" ".join(said))
    errors = sum(
        max(i2 - i1, j2 - j1)
        for kind, i1, i2, j1, j2 in SequenceMatcher(None, true, heard, autojunk=False).get_opcodes()
        if kind != "equal"
    )
    assert errors / len(true) <= 0.10
    for sentence in said:
        matched = SequenceMatcher(None, plain(sentence), heard, autojunk=False).get_matching_blocks()
        assert sum(block.size for block in matched) >= 0.8 * len(plain(sentence))


def test_every_word_is_in_the_shot_in_which_it_is_said(
    heard: Path, spoken: list[tuple[str, float, float]], tmp_path: Path
) -> None:
    shots = Path(output_paths([f"{EPISODE}.shots"])[0])
    SHOT_REFERENCE.execute({"shots": shots, "transcript": heard}, {}, tmp_path)
    shots = json.loads((tmp_path / "shot-reference.json").read_text())["shots"]
    words = [(word["text"], shot["shot"]) for shot in shots for line in shot["lines"] for word in line["words"]]
    starts = [shot["start"] * FRAME_SECONDS for shot in shots]
    letters = [re.sub("[^a-z]", "", text.casefold().replace("mr.", "mister")) for text, _ in words]
    blocks = SequenceMatcher(None, [word for word, _, _ in spoken], letters, autojunk=False).get_matching_blocks()
    pairs = [(spoken[block.a + k], words[block.b + k]) for block in blocks for k in range(block.size)]
    assert len(pairs) >= 0.9 * len(spoken)
    wrong = [
        (word, shot) for (word, start, end), (_, shot) in pairs if bisect_right(starts, (start + end) / 2) - 1 != shot
    ]
    assert wrong == []


def test_nothing_is_heard_in_ten_minutes_of_film_without_speech(tmp_path: Path) -> None:
    archive = Path(output_paths([f"{MATERIALS}.film"])[0])
    member = json.loads(nixw("eval", "--json", f".#{MATERIALS}.filmMember").output)
    unpack_tar(archive, {member["film_archive_member"]: tmp_path / "film.zip"})
    unpack_zip(tmp_path / "film.zip", member["film_member"], tmp_path / "film.mp4")
    parameters = json.loads(nixw("eval", "--json", ".#smoke.graph").output)
    (tmp_path / "probe.json").write_text(
        json.dumps({"episode": "film", "language": "en", "audio": [{"seconds": 596}], "sound_stream": 0})
    )
    (tmp_path / "out").mkdir()
    inputs = {"master": tmp_path / "film.mp4", "source": tmp_path, "model": speech_model()}
    stage = next(value for key, value in parameters.items() if key.endswith("/transcript-base"))
    TRANSCRIPT.execute(inputs, stage["parameters"], tmp_path / "out")
    assert json.loads((tmp_path / "out/transcript.json").read_text())["segments"] == []


def made_page(folder: Path, captions: list[str], overrides: list[dict]) -> Path:
    """Write the review page of an episode that has one clip for each caption, two frames long."""
    clips = [{"id": f"c{n}", "start": 2 * n, "end": 2 * n + 2, "shot": 0} for n in range(len(captions))]
    files = {
        "source/probe.json": {"sha256": "0" * 64, "video": {"fps_rational": "24/1"}},
        "clips/clips.json": {"clips": [{**clip, "file": "clip.mp4", "first_frame": "clip.png"} for clip in clips]},
        "caption/captions.json": {
            "captions": [
                {"clip": clip["id"], "text": text, "source": "model"}
                for clip, text in zip(clips, captions, strict=True)
            ]
        },
        "caption/answers.json": {"answers": []},
        "caption/stage.json": {"parameters": {"minimum_words": 2, "maximum_words": 9}},
        "shot-reference/shot-reference.json": {"shots": []},
        **{"clips/clip.mp4": "", "clips/clip.png": ""},
    }
    for name, value in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(json.dumps(value))
    outputs = {name: folder / name for name in ("source", "clips", "caption", "shot-reference")}
    write_review("e", outputs, overrides, folder / "page")
    return folder / "page/index.html"


def test_page_loses_nothing_that_was_written_for_another_caption_or_clip(chromium: str, tmp_path: Path) -> None:
    exported = tmp_path / "downloads/e.yaml"
    exported.parent.mkdir()
    master = {"source": f"sha256:{'0' * 64}", "by": "Ada", "reason": "Seen."}
    overrides = [
        {**master, "start": 0, "end": 2, "replaces": text_hash("Frank sits."), "text": "Frank hangs down."},
        {**master, "start": 90, "end": 92, "replaces": text_hash("Gone."), "text": "Rinky runs."},
    ]
    browser = Browser(chromium, tmp_path / "profile")
    first = made_page(tmp_path / "first", ["Frank waits.", "A nut falls."], overrides)
    try:
        # What is kept in the first moments of a new profile is sometimes lost.
        kept = "localStorage.getItem('kept') ?? (localStorage.setItem('kept', 'yes'), null)"
        browser.reopen(first, exported.parent, kept)
        browser.click("#export")
        assert "The caption has changed" in browser.evaluate("document.activeElement.validationMessage")
        assert "Frank waits." in browser.evaluate("document.querySelector('article.moved .before').innerText")
        browser.click("article.moved .still")
        browser.type_into("#clip-c1 textarea", "One")
        browser.type_into("#clip-c1 .reason", "It does not fall.")
        browser.type_into("#by", "Bo")
        browser.click("#export")
        assert browser.evaluate("document.activeElement.validationMessage") == "A caption has 2 to 9 words."
        browser.type_into("#clip-c1 textarea", "One nut lies there.")
        browser.click("#export")
        browser.wait_for_file(exported)
        made = [(entry["replaces"], entry["text"], entry["by"]) for entry in read_yaml(exported)]
        assert made == [
            (text_hash("Frank waits."), "Frank hangs down.", "Ada"),
            (text_hash("A nut falls."), "One nut lies there.", "Bo"),
        ]
        assert "# Left out, no clip has its frames: frames 90-92 by Ada: Rinky runs." in exported.read_text()

        # The captions were built anew before what was typed arrived in the pipeline, and the last clip is gone.
        second = made_page(tmp_path / "second", ["Frank waits.", "Two nuts fall."], overrides[:1])
        moved = "document.querySelector('#clip-c1.moved textarea')?.value === 'One nut lies there.'"
        browser.reopen(second, exported.parent, moved)
        third = made_page(tmp_path / "third", ["Frank waits."], [])
        left = "document.getElementById('left').innerText.includes('One nut lies there.')"
        browser.reopen(third, exported.parent, left)
        assert browser.log == []
    finally:
        browser.close()


def test_correction_made_in_the_browser_arrives_in_the_package(
    smoke: Path, checkout: Path, chromium: str, tmp_path: Path
) -> None:
    before = output_paths([f"{EPISODE}.caption"], flake=f"path:{checkout}")[0]
    output_paths(["smoke.dataset.wan22"], flake=f"path:{checkout}")
    captions = json.loads(Path(before, "captions.json").read_text())["captions"]
    page, downloads = tmp_path / "page", tmp_path / "downloads"
    downloads.mkdir()
    command = [checkout / "nixw", "run", f"path:{checkout}#reel", "--", "review", "smoke.big-buck-bunny-excerpt"]
    overrides = checkout / "materials/smoke/overrides.yaml"
    subprocess.run([*command, "--output", page], cwd=checkout, check=True)

    # Another text on every run: what was built once is not built again.
    text = f"Gimera sits in the grass by the big tree and holds a brown nut, in sunlight, take {os.urandom(4).hex()}."
    browser = Browser(chromium, tmp_path / "profile")
    try:
        browser.open(page / "index.html", downloads)
        assert browser.evaluate("document.querySelectorAll('article').length") == len(captions)
        playing = "(async () => { const v = document.querySelector('video'); await v.play(); return v.videoWidth; })()"
        assert browser.evaluate(playing) == 320
        browser.type_into("article textarea", text)
        browser.click("#export")
        assert "Write your name" in browser.evaluate("document.activeElement.validationMessage")
        browser.type_into("#by", "Ada")
        browser.click("#export")
        assert "Say why" in browser.evaluate("document.activeElement.validationMessage")
        browser.type_into("article .reason", "Rinky is hardly seen.")
        browser.click("#export")
        exported = downloads / "big-buck-bunny-excerpt.yaml"
        browser.wait_for_file(exported)
        assert browser.log == []
    finally:
        browser.close()

    assert exported.read_text().count("- source:") == 2
    overrides.write_text(exported.read_text())
    # Beyond the package all that reads captions, and nothing that looked at a clip before it had them.
    _, plan = reel_json("plan", "wan22-smoke", cwd=checkout)
    touched = {stage["name"].rpartition("/")[2] for stage in plan["stages"] if stage["state"] != "built"}
    behind = {"wan22-text", "wan22-plan", "segment-plan", "wan22-train", "checkpoint", "samples", "report", "bundle"}
    assert touched == {"reviewed", "wan22-package", *behind}
    finished = nixw("build", "--no-link", "--json", "-L", f"path:{checkout}#smoke.dataset.wan22")
    assert finished.status == 0, finished.log[-3000:]
    metadata = json.loads(Path(json.loads(finished.output)[0]["outputs"]["out"], "metadata.json").read_text())
    row = next(row for row in metadata if row["clip"] == captions[0]["clip"])
    assert (row["prompt"], row["caption_source"]) == (text, "override")
    assert set(finished.built_stages) == {"big-buck-bunny-excerpt-reviewed", "smoke-wan22-package"}


def test_character_s_line_in_the_bible_reruns_captions_and_no_transcript(checkout: Path) -> None:
    output_paths([f"{EPISODE}.reviewed"], flake=f"path:{checkout}")
    bible = checkout / "materials/smoke/bible.yaml"
    assert "A thin red squirrel" in bible.read_text()
    bible.write_text(bible.read_text().replace("A thin red squirrel", f"A lean red squirrel {os.urandom(4).hex()}"))
    finished = nixw("build", "--no-link", "-L", f"path:{checkout}#{EPISODE}.reviewed")
    assert finished.status == 0, finished.log[-3000:]
    built = {name.removeprefix("big-buck-bunny-excerpt-") for name in finished.built_stages}
    assert built == {"smoke-bible", "episode-bible", "episode-names", "scene-context", "caption", "reviewed"}
