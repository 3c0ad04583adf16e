"""Where everything stands: a column a step, a band a group, and Graphviz leads the arrows around the cards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reelgraph.errors import StageError
from reelgraph.graph.picture import DATASET, Card, Picture

# Pixels. Texts are not measured: the same graph gives the same picture on every machine, whatever fonts it has.
CARD_WIDTH, CARD_HEIGHT, FILE_LINE = 172, 50, 15
COLUMN_GAP, ROW_GAP = 38, 16
ARC_NEAREST, ARC_STEP, ARC_FURTHEST = 16, 6, 48
BAND_GAP, BAND_PADDING, BAND_HEADING = 16, 16, 38


@dataclass(frozen=True)
class Box:
    """A rectangle: left, top, width, height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """The point in its middle."""
        return self.x + self.width / 2, self.y + self.height / 2


@dataclass(frozen=True)
class Layout:
    """The size of a picture, the left edge of each step's column, boxes of cards and groups, arrows as SVG paths."""

    width: float
    height: float
    columns: Mapping[int, float]
    cards: Mapping[str, Box]
    groups: Mapping[str, Box]
    paths: Mapping[tuple[str, str], str]


def make_layout(picture: Picture) -> Layout:
    """Place a picture's parts; the same picture gives the same layout."""
    depths, steps = _depths(picture), _columns(picture)
    columns = {
        step: BAND_PADDING + index * (CARD_WIDTH + COLUMN_GAP) for index, step in enumerate(sorted(set(steps.values())))
    }
    cards: dict[str, Box] = {}
    groups: dict[str, Box] = {}
    top, right = 0.0, max(columns.values()) + CARD_WIDTH + BAND_PADDING
    for group in sorted(picture.headings, key=lambda name: (name == DATASET, name)):
        members = sorted((depths[name], name) for name, card in picture.cards.items() if card.group == group)
        bottoms = dict.fromkeys(columns, top + BAND_HEADING)
        for _, name in members:
            step, height = steps[name], card_height(picture.cards[name])
            cards[name] = Box(columns[step], bottoms[step], CARD_WIDTH, height)
            bottoms[step] += height + ROW_GAP
        if members:
            groups[group] = Box(0, top, right, max(bottoms.values()) - ROW_GAP + BAND_PADDING - top)
            top += groups[group].height + BAND_GAP
    return Layout(right, top - BAND_GAP, columns, cards, groups, _route(picture, cards, steps))


def card_height(card: Card) -> int:
    """Return the height of a card: one line more where it reads files."""
    return CARD_HEIGHT + (FILE_LINE if card.files else 0)


def _columns(picture: Picture) -> dict[str, int]:
    """Return the step in whose column each card stands: its own, for a model that of its first reader."""
    steps = {name: card.step for name, card in picture.cards.items()}
    for name, card in picture.cards.items():
        if card.step == 0:
            steps[name] = min((steps[end] for start, end in picture.arrows if start == name and steps[end]), default=0)
    return steps


def _depths(picture: Picture) -> dict[str, int]:
    """Return how many cards lead to each card on the longest way."""
    depths = dict.fromkeys(picture.cards, 0)
    for start, end in picture.arrows:
        depths[end] = max(depths[end], depths[start] + 1)
    return depths


def _route(picture: Picture, cards: Mapping[str, Box], steps: Mapping[str, int]) -> dict[tuple[str, str], str]:
    # Graphviz's text plugin would complain that there is no font configuration; no text is measured.
    os.environ.setdefault("FONTCONFIG_FILE", os.devnull)
    try:
        import pygraphviz
    except ImportError as error:
        raise StageError(f"pygraphviz cannot be loaded ({error}); use `./nixw run .#reel`", status=3) from error
    graph = pygraphviz.AGraph(directed=True, strict=True, splines="spline", esep="+3", sep="+5")
    graph.node_attr.update(shape="box", fixedsize="true", label="")
    for name, box in cards.items():
        x, y = box.middle
        graph.add_node(name, pos=f"{x},{-y}", width=box.width / 72, height=box.height / 72)
    beside: list[tuple[str, str]] = []
    for start, end in picture.arrows:
        if steps[start] != steps[end]:
            graph.add_edge(start, end, tailport="e", headport="w")
        elif _are_neighbours(cards, start, end):
            down = cards[start].y < cards[end].y
            graph.add_edge(start, end, tailport="s" if down else "n", headport="n" if down else "s")
        else:
            beside.append((start, end))
    drawn = json.loads(graph.draw(format="json0", prog="nop"))
    names = {thing["_gvid"]: thing["name"] for thing in drawn.get("objects", [])}
    # Graphviz moves the whole to where it begins at 0; one card says by how much.
    first = drawn["objects"][0]
    x, y = map(float, first["pos"].split(","))
    offset = cards[first["name"]].middle[0] - x, cards[first["name"]].middle[1] + y
    return _round_the_left(cards, beside) | {
        (names[edge["tail"]], names[edge["head"]]): _path(edge["pos"], offset) for edge in drawn.get("edges", [])
    }


def _are_neighbours(cards: Mapping[str, Box], start: str, end: str) -> bool:
    upper, lower = sorted((cards[start].y, cards[end].y))
    return not any(box.x == cards[start].x and upper < box.y < lower for box in cards.values())


def _round_the_left(cards: Mapping[str, Box], arrows: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return arcs beside the cards of a column, the longer the further out, so that none runs on another."""
    spans = {(start, end): sorted((cards[start].middle[1], cards[end].middle[1])) for start, end in arrows}
    lanes: dict[tuple[float, int], list[list[float]]] = {}
    paths = {}
    for start, end in sorted(arrows, key=lambda arrow: (spans[arrow][1] - spans[arrow][0], arrow)):
        x, (top, bottom) = cards[start].x, spans[start, end]
        lane = 0
        while any(top < other[1] and other[0] < bottom for other in lanes.get((x, lane), [])):
            lane += 1
        lanes.setdefault((x, lane), []).append([top, bottom])
        out = x - min(ARC_NEAREST + lane * ARC_STEP, ARC_FURTHEST)
        y = cards[start].middle[1], cards[end].middle[1]
        paths[start, end] = f"M{x:.1f} {y[0]:.1f}C{out:.1f} {y[0]:.1f} {out:.1f} {y[1]:.1f} {x:.1f} {y[1]:.1f}"
    return paths


def _path(spline: str, offset: tuple[float, float]) -> str:
    """Return an SVG path of Graphviz's spline: the arrow's tip, then the curve's points."""
    points = [tuple(map(float, point.removeprefix("e,").split(","))) for point in spline.split()]
    tip, start, *rest = [f"{offset[0] + x:.1f} {offset[1] - y:.1f}" for x, y in points]
    return f"M{start}C{' '.join(rest)}L{tip}"
