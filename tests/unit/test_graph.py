"""The picture of a graph: what is on it, that it can be read, and that the same graph gives the same bytes."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import pytest
from made_store import MadeStage, MadeStore

from reelgraph.errors import StageError
from reelgraph.graph.draw import draw_html, draw_svg, graph_json
from reelgraph.graph.evaluate import find_checkout, load_graph
from reelgraph.graph.layout import make_layout
from reelgraph.graph.picture import make_picture
from reelgraph.graph.plan import Plan, make_plan
from reelgraph.graph.words import agree, byte_count, shorten, some
from reelgraph.stage import validate

SVG = "{http://www.w3.org/2000/svg}"


def pipeline(made: MadeStore, episodes: int, segments: int = 3) -> MadeStore:
    """Put a small pipeline of the real one's shape into a store."""
    made.put(MadeStage("set/bible", {"bible": "names"}))
    names = [f"episode-{number}" for number in range(episodes)]
    for name in names:
        made.put(
            MadeStage(f"{name}/source", {"master": f"master of {name}"}),
            MadeStage(f"{name}/shots", {"source": f"{name}/source"}),
            MadeStage(f"{name}/clips", {"source": f"{name}/source", "shots": f"{name}/shots"}),
            MadeStage(f"{name}/caption", {"clips": f"{name}/clips", "bible": "set/bible"}),
        )
    made.put(MadeStage("set/wan22-package", {"captions": {name: f"{name}/caption" for name in names}}))
    before = None
    for number in range(segments):
        inputs = {"package": "set/wan22-package"} | ({"previous": before} if before else {})
        before = f"set-segment-{number}/wan22-train"
        made.put(MadeStage(before, inputs))
    made.put(MadeStage("set/checkpoint", {"segment": before}, kind="checkpoint"))
    return made


def plan_of(made: MadeStore) -> Plan:
    """Return the plan of the checkpoint."""
    return make_plan(made.checkout, "set.checkpoint", store=made.store, reasons=False)


@pytest.fixture
def made(tmp_path: Path) -> MadeStore:
    """An empty store."""
    return MadeStore(tmp_path / "store")


def test_every_stage_of_a_small_graph_has_its_card_with_its_state(made: MadeStore) -> None:
    pipeline(made, 2)
    made.build("set/bible", {"bible.json": "{}"}, seconds=2)
    svg = ElementTree.fromstring(draw_svg(plan_of(made)))
    cards = [group for group in svg.iter(f"{SVG}g") if "card" in group.get("class", "").split()]
    assert len(cards) == len(made.stages)
    [bible] = [card for card in cards if card.get("data-id") == "set/bible"]
    assert "built" in bible.get("class")
    texts = [text.text for text in bible.iter(f"{SVG}text")]
    assert texts[:2] == ["bible", "2.0 s · 2 bytes"]


def test_an_arrow_that_a_longer_way_says_already_is_left_out(made: MadeStore) -> None:
    picture = make_picture(plan_of(pipeline(made, 1)))
    assert ("episode-0/source", "episode-0/shots") in picture.arrows
    assert ("episode-0/source", "episode-0/clips") not in picture.arrows


@pytest.mark.parametrize(("episodes", "segments"), [(1, 1), (3, 3), (40, 12)])
def test_no_two_cards_touch_and_all_are_within_their_group(made: MadeStore, episodes: int, segments: int) -> None:
    picture = make_picture(plan_of(pipeline(made, episodes, segments)))
    layout = make_layout(picture)
    for one, other in combinations(layout.cards.values(), 2):
        apart = one.x + one.width <= other.x or other.x + other.width <= one.x
        assert apart or one.y + one.height <= other.y or other.y + other.height <= one.y
    for name, box in layout.cards.items():
        group = layout.groups[picture.cards[name].group]
        assert group.x <= box.x and box.x + box.width <= group.x + group.width
        assert group.y <= box.y and box.y + box.height <= group.y + group.height
    assert layout.paths.keys() == set(picture.arrows)


def test_steps_go_from_left_to_right(made: MadeStore) -> None:
    plan = plan_of(pipeline(made, 1))
    boxes = make_layout(make_picture(plan)).cards
    order = ["episode-0/clips", "episode-0/caption", "set/wan22-package", "set/checkpoint"]
    assert [boxes[name].x for name in order] == sorted({boxes[name].x for name in order})


def test_many_episodes_alike_are_one_band_and_those_that_differ_another(made: MadeStore) -> None:
    pipeline(made, 30)
    made.build("episode-7/source", {"probe.json": "{}"}, seconds=1)
    picture = make_picture(plan_of(made))
    headings = sorted(picture.headings.values())
    assert headings == ["29 episodes: episode-0 … episode-9", "dataset set", "episode episode-7"]
    assert len(picture.cards) < 20


def test_a_long_training_is_one_card(made: MadeStore) -> None:
    picture = make_picture(plan_of(pipeline(made, 1, segments=40)))
    [card] = [card for card in picture.cards.values() if card.title.startswith("wan22-train")]
    assert len(card.members) == 40


def test_the_same_graph_gives_the_same_bytes(made: MadeStore) -> None:
    pipeline(made, 2)
    assert draw_svg(plan_of(made), plain=True) == draw_svg(plan_of(made), plain=True)


def test_a_plain_picture_does_not_depend_on_what_is_built(made: MadeStore) -> None:
    pipeline(made, 2)
    before = draw_svg(plan_of(made), plain=True)
    made.build("set/bible", {"bible.json": "{}"}, seconds=2)
    assert draw_svg(plan_of(made), plain=True) == before


def test_names_are_escaped(made: MadeStore) -> None:
    made.put(MadeStage("a/source", {"master": "<&>"}), MadeStage("set/checkpoint", {"source": "a/source"}))
    ElementTree.fromstring(draw_svg(plan_of(made)))


def test_the_page_holds_the_picture_and_a_row_for_each_stage(made: MadeStore) -> None:
    pipeline(made, 30)
    page = draw_html(plan_of(made))
    assert page.count("<tr><th>") == len(made.stages) + 1
    assert "<svg" in page and "http" not in page.replace("http://www.w3.org/2000/svg", "")


def test_the_json_satisfies_its_schema(made: MadeStore) -> None:
    value = graph_json(plan_of(pipeline(made, 2)))
    validate(json.loads(json.dumps(value)), "reel-graph", "graph")
    assert value["stages"][-1]["needs"] == ["set-segment-2/wan22-train"]


def test_a_target_without_stages_is_named(made: MadeStore) -> None:
    made.checkout.evaluate = lambda *arguments: {"ends": [], "stages": {}}
    with pytest.raises(StageError, match=r"lib: is no stage and holds none; try"):
        load_graph(made.checkout, ".#lib")
    with pytest.raises(StageError, match="the target is empty"):
        load_graph(made.checkout, ".#")


def test_outside_a_checkout_the_sentence_says_where_to_go(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"is in no checkout of Reelgraph .*; change into one"):
        find_checkout(tmp_path)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (123_456_789, "123 MB")]
)
def test_sizes_are_short(size: int, text: str) -> None:
    assert byte_count(size) == text


def test_long_names_lose_their_middle() -> None:
    assert shorten("moviepy-2.2.1.tar.gz", 12) == "moviepy…r.gz"
    assert some(["a", "b", "c"], 2) == "a, b and 1 more"


def test_one_needs_and_several_need() -> None:
    assert [agree(number, verb) for verb in ("needs", "is", "was") for number in (1, 2)] == (
        ["needs", "need", "is", "are", "was", "were"]
    )
