"""The pages of `reel audit` and `reel diff` as a person sees them: light, dark, wide, narrow, of 1 and 100 episodes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest
from browser import Browser
from PIL import Image, ImageDraw
from reel import reel
from safetensors.numpy import save_file

from reelgraph.audit.audit import DIFFERS, NOT_CHECKED, REPRODUCED, Audit, StageAudit
from reelgraph.audit.differences import Difference
from reelgraph.audit.report import audit_html
from reelgraph.graph.store import ValidPath

STAGES = ("source", "shots", "clips", "transcript-base", "scene-context", "caption", "wan22-latents", "wan22-text")
CLIPS_OF_EPISODE = 8
# Texts with less contrast than readers need (WCAG 2: 4.5, large ones 3), with what they have.
FAINT = """
(() => {
  const numbers = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement, style = getComputedStyle(element);
    if (!texts.currentNode.data.trim() || !element.getClientRects().length) continue;
    const ink = light(numbers(element.closest('svg') ? style.fill : style.color)), paper = light(behind(element));
    const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (contrast < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5)) faint.push([texts.currentNode.data, contrast]);
  }
  return faint;
})()"""
# Elements beyond the window's right edge, or with more in them than they show, that no box lets a reader scroll to.
OUTSIDE = """
[...document.querySelectorAll('main, main *')].filter(element => !element.closest('.scroll') && (
  element.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5 ||
  element.clientWidth && element.scrollWidth > element.clientWidth + 1
)).map(element => element.outerHTML.slice(0, 80))"""
CROWDED = """
[...document.querySelectorAll('svg text')].flatMap((text, index, texts) => texts.slice(index + 1).filter(other => {
  const [a, b] = [text.getBoundingClientRect(), other.getBoundingClientRect()];
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}).map(other => text.textContent + ' on ' + other.textContent))"""
FROM_ELSEWHERE = """
[...performance.getEntriesByType('resource').map(entry => entry.name),
 ...[...document.querySelectorAll('[src], [href]')].map(element => element.src || element.href)
].filter(address => !address.startsWith('file:') && !address.startsWith('data:'))"""
UNSEEN_MEDIA = """
[...document.images].filter(image => !image.naturalWidth).map(image => image.src)
  .concat([...document.querySelectorAll('video')].filter(video => video.error || !video.videoWidth).map(v => v.src))"""


def difference(number: int) -> Difference:
    """Return one of several kinds of differences, with names and values as long as they get."""
    clip = f"3711efe697f7-{number:06}-{number + 49:06}"
    order = "looks like floating-point numbers that were added in another order"
    tensor = f"blocks.{number}.cross_attn.k.lora_A.weight: 47 numbers differ, the largest by 1.49e-08"
    return (
        Difference(f"latents/{clip}.safetensors", "safetensors", "1 of 1 tensors differ", (tensor,), order),
        Difference("shots.json", "json", f"differs at shots[{number}].end", ('shots[3].id: "' + "0f" * 120 + '"',), ""),
        Difference(f"{clip}.mp4", "video", "differs from frame 0 (0.000 s) on: 17 of 17 frames", (), ""),
    )[number % 3]


def write_audit(folder: Path, episodes: int) -> Path:
    """Write the page of an audit in which one stage in 16 differs and one in 100 was not checked."""
    stages = []
    for number in range(episodes * len(STAGES)):
        name = f"an-episode-with-a-title-of-some-length-{number // len(STAGES)}/{STAGES[number % len(STAGES)]}"
        first, second = (ValidPath(f"/nix/store/{side}", f"sha256:{side * 64}", 10**number % 10**9, 1) for side in "01")
        if number % 16 == 3:
            differences = tuple(map(difference, range(number, number + 40)))
            stages.append(StageAudit(name, DIFFERS, "40 files differ", first, second, (7000.0, 0.5), differences))
        elif number % 100 == 5:
            reason = "needs cuda, which this machine does not offer (see --builder)"
            stages.append(StageAudit(name, NOT_CHECKED, reason, first, None, (1.0, None), ()))
        else:
            stages.append(StageAudit(name, REPRODUCED, "", first, first, (61.5, 60.2), ()))
    facts = {"second build": "here, in a clean store, 2 stages at a time", "flake.lock": "nixpkgs " + "02e08985" * 5}
    folder.mkdir()
    (folder / "audit.html").write_text(audit_html(Audit("smoke.dataset.wan22", stages, facts)))
    return folder / "audit.html"


def write_result(folder: Path, episodes: int, changed: bool, samples: Path) -> Path:
    """Write a result as `reel diff` reads it; ``changed`` says whether it is the one after many changes."""
    rows = []
    for number in range(episodes * CLIPS_OF_EPISODE):
        episode, start = f"episode-{number // CLIPS_OF_EPISODE}", 60 * (number % CLIPS_OF_EPISODE)
        start += 4 if changed and number % 7 == 0 else 0
        words = ["Big Buck Bunny, a large gray rabbit, stands in a sunny forest and looks at a butterfly."] * 3
        words[1] = "He holds an apple." if changed and number % 3 == 0 else "He holds " + "a-very-long-word-" * 9
        clip = f"3711efe697f7-{start:06}-{start + 49:06}"
        if not changed or number % 11:
            rows.append({"episode": episode, "clip": clip, "prompt": " ".join(words), "video": f"clips/{clip}.mp4"})
    folder.mkdir()
    write = {
        "metadata.json": rows,
        "stage.json": {
            "stage": "wan22-package",
            "parameters": {"quality": 18 + changed, "note": "on" * 200 if changed else "off"},
            "inputs": {},
            "files": {row["video"]: f"sha256:{index % 9 if changed else 0}" for index, row in enumerate(rows)},
        },
    }
    for name, value in write.items():
        (folder / name).write_text(json.dumps(value))
    losses = [4 / (1 + step / 90) + (step % 7) / (9 + 3 * changed) for step in range(500)]
    (folder / "loss.jsonl").write_text(
        "".join(json.dumps({"step": i + 1, "loss": x}) + "\n" for i, x in enumerate(losses))
    )
    save_file({"w": numpy.full(4, float(changed), "f4")}, folder / "lora.safetensors", {"reelgraph.seed": "22"})
    shutil.copytree(samples, folder / "samples")
    (folder / "samples").chmod(0o755)
    if changed:
        picture = folder / "samples/text-to-image-0.png"
        picture.chmod(0o644)
        with Image.open(picture) as image:
            ImageDraw.Draw(image).rectangle((20, 20, 90, 90), "white")
            image.save(picture)
        (folder / "samples/image-to-video-0.mp4").unlink()
        listed = json.loads((folder / "samples/samples.json").read_text())
        listed["samples"] = [sample for sample in listed["samples"] if sample["file"] != "image-to-video-0.mp4"]
        (folder / "samples/samples.json").unlink()
        (folder / "samples/samples.json").write_text(json.dumps(listed))
    return folder


@pytest.fixture(scope="module")
def pages(smoke: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, int], Path]:
    """The pages by command and number of episodes."""
    folder, pages = tmp_path_factory.mktemp("pages"), {}
    for episodes in (1, 100):
        pages["audit", episodes] = write_audit(folder / f"audit-{episodes}", episodes)
        sides = [
            write_result(folder / f"{side}-{episodes}", episodes, bool(side), smoke / "samples") for side in (0, 1)
        ]
        assert reel("diff", *sides, "-o", folder / f"diff-{episodes}")[0] == 1
        pages["diff", episodes] = folder / f"diff-{episodes}/index.html"
    return pages


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("episodes", [1, 100])
@pytest.mark.parametrize("command", ["audit", "diff"])
def test_a_page_can_be_read(browser: Browser, pages: Any, command: str, episodes: int, scheme: str) -> None:
    page = pages[command, episodes]
    for width in (1400, 420):
        browser.show(page, scheme, width)
        corner = Image.open(browser.screenshot(page.parent / f"{scheme}.png")).convert("L").getpixel((2, 2))
        assert corner > 230 if scheme == "light" else corner < 40
        browser.evaluate("document.querySelectorAll('details').forEach(folded => { folded.open = true; })")
        assert browser.evaluate(FAINT) == []
        assert browser.evaluate(OUTSIDE) == []
        assert browser.evaluate(CROWDED) == []
    assert browser.evaluate(FROM_ELSEWHERE) == []
    assert not [entry for entry in browser.log if "exceptionDetails" in entry]


@pytest.mark.parametrize("episodes", [1, 100])
def test_an_audit_tells_the_outcome_first_and_each_cause_once(browser: Browser, pages: Any, episodes: int) -> None:
    browser.show(pages["audit", episodes], "light")
    stages = episodes * len(STAGES)
    differing, unchecked = len(range(3, stages, 16)), len(range(5, stages, 100))
    checked = stages - unchecked
    text = browser.evaluate("document.querySelector('.lede').innerText")
    assert text.startswith(f"{checked - differing} of {checked} checked stages reproduced, {differing} differ")
    assert browser.evaluate("document.querySelectorAll('article').length") == differing
    assert browser.evaluate("document.querySelectorAll('tbody tr').length") == stages + 2
    assert "needs cuda" in browser.evaluate("document.body.innerText")
    first = browser.evaluate("document.querySelector('article').innerText")
    assert "latents/3711efe697f7-000003-000052.safetensors" in first
    assert "34 more files; audit.json has all" in first


@pytest.mark.parametrize("episodes", [1, 100])
def test_a_comparison_shows_words_losses_and_samples_side_by_side(browser: Browser, pages: Any, episodes: int) -> None:
    browser.show(pages["diff", episodes], "light")
    browser.wait_for(f"({UNSEEN_MEDIA}).length === 0")
    headings = browser.evaluate("[...document.querySelectorAll('h2')].map(heading => heading.innerText)")
    assert headings == ["Clips", "Captions", "Parameters", "Loss", "Weights", "Samples"]
    told = browser.evaluate("document.querySelector('.lede').innerText")
    assert told.startswith("1 clip recut" if episodes == 1 else "104 clips recut"), told
    assert told.endswith("2 parameters changed, other losses, other weights, 2 samples changed."), told
    folded = browser.evaluate("[...document.querySelectorAll('details')].map(table => !table.open)")
    assert folded == [episodes == 100, episodes == 100, False]
    assert browser.evaluate(
        "[...document.querySelectorAll('del')].some(word => word.textContent.includes('very-long'))"
    )
    assert browser.evaluate("[...document.querySelectorAll('ins')].some(word => word.textContent === 'an apple.')")
    ends = browser.evaluate("[...document.querySelectorAll('.chart polyline')].map(line => line.getBBox().width)")
    assert len(ends) == 2 and min(ends) > 500
    pairs = browser.evaluate("""
        [...document.querySelectorAll('.pair')].map(pair => [...pair.querySelectorAll('img, video, .none')].map(
            element => Math.round(element.getBoundingClientRect().top)))""")
    assert pairs and all(len(pair) == 2 and pair[0] == pair[1] for pair in pairs)
    assert browser.evaluate("document.querySelectorAll('.none').length") == 1
