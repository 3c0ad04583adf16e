"""The graph as a person sees it: in a browser, light and dark, of one episode and of a hundred."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import Browser
from PIL import Image
from reel import copy_checkout, plant_stage, reel

# A hundred episodes of the smoke job, each with parameters of its own.
HUNDRED = """(mkPipeline (specifications.smoke // {
  name = "hundred";
  episodes = builtins.listToAttrs (
    builtins.genList (number: {
      name = "episode-${toString number}";
      value = builtins.head (builtins.attrValues specifications.smoke.episodes) // {
        parameters.source.title = "Episode ${toString number}";
      };
    }) 100
  );
})).checkpoint"""
OVERFLOWING = """
[...document.querySelectorAll('.reel-graph .card')].flatMap(card => {
  const edge = card.querySelector('rect.body').getBoundingClientRect();
  const texts = [...card.querySelectorAll('text')];
  return texts.filter(text => text.getBoundingClientRect().right > edge.right).map(text => text.textContent);
})"""
OVERLAPPING = """
[...document.querySelectorAll('.reel-graph .card')].flatMap(card => {
  const boxes = [...card.querySelectorAll('text')].map(text => [text.textContent, text.getBoundingClientRect()]);
  const areBeside = (box, other) => box.left < other.right && other.left < box.right;
  const areOne = (box, other) => Math.abs(box.bottom - other.bottom) < 5 && areBeside(box, other);
  return boxes.flatMap(([name, box], index) =>
    boxes.slice(index + 1).filter(([, other]) => areOne(box, other)).map(([text]) => name + text));
})"""
UNREADABLE = """
[...document.querySelectorAll('.reel-graph text')].filter(text => text.getBoundingClientRect().height < 8).length"""


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a pipeline of a hundred episodes."""
    folder = tmp_path_factory.mktemp("hundred")
    checkout = copy_checkout(folder / "checkout")
    target = plant_stage(checkout, "unused", "", [], HUNDRED)
    status, _ = reel("graph", target, "-o", folder / "graph.html", cwd=checkout)
    assert status == 0
    return folder / "graph.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("episodes", [1, 100])
def test_a_graph_can_be_read(browser: Browser, hundred: Path, tmp_path: Path, scheme: str, episodes: int) -> None:
    page = hundred
    if episodes == 1:
        page = tmp_path / "graph.html"
        assert reel("graph", "wan22-smoke", "-o", page)[0] == 0
    browser.show(page, scheme)
    picture = Image.open(browser.screenshot(tmp_path / "graph.png")).convert("L")
    corner, (darkest, lightest) = picture.getpixel((2, 2)), picture.getextrema()
    assert corner > 230 if scheme == "light" else corner < 40
    assert lightest - darkest > 150
    assert browser.evaluate(OVERFLOWING) == []
    assert browser.evaluate(OVERLAPPING) == []
    assert browser.evaluate(UNREADABLE) == 0
    cards = browser.evaluate("document.querySelectorAll('.reel-graph .card').length")
    assert 10 < cards < 60
    assert not [entry for entry in browser.log if "exceptionDetails" in entry]


def test_pointing_at_a_stage_shows_its_way(browser: Browser, hundred: Path) -> None:
    browser.show(hundred, "light")
    start = "document.querySelector('[data-id$=\"/bible\"]').dispatchEvent(new MouseEvent('mouseenter'))"
    browser.evaluate(start)
    near = browser.evaluate("[...document.querySelectorAll('.card.near')].map(card => card.dataset.id)")
    assert any(name.endswith("/checkpoint") for name in near)
    assert not any(name.endswith("/shots") for name in near)


def test_the_filter_leaves_the_rows_that_have_the_word(browser: Browser, hundred: Path) -> None:
    browser.show(hundred, "light")
    browser.type_into("input", "episode-42/")
    shown = browser.evaluate("[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden).length")
    rows = json.loads(browser.evaluate("JSON.stringify([...document.querySelectorAll('tbody tr')].length)"))
    assert 0 < shown < 30 < rows
