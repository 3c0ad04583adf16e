"""The graph as a file: SVG, an HTML page around it, or JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.graph.builders import NOWHERE
from reelgraph.graph.layout import make_layout
from reelgraph.graph.picture import Card, make_picture
from reelgraph.graph.plan import Plan
from reelgraph.graph.state import State
from reelgraph.graph.steps import STEPS
from reelgraph.graph.words import byte_count, counted, shorten
from reelgraph.report.page import duration

MARGIN, TOP, LEGEND = 20, 90, 36
STATE_WORDS = {
    State.BUILT: "built",
    State.TO_BUILD: "to build",
    State.UNKNOWN: "to build, unless its inputs come out as before",
}
PLACES = {"remote": "on a builder", "nowhere": "no builder for it"}
LETTER = 6.2
TIMES = "\u00d7"


def draw_svg(plan: Plan, plain: bool = False) -> str:
    """Return a plan as SVG; ``plain`` leaves states, times and sizes out, so that only the graph decides the bytes."""
    picture = make_picture(plan)
    layout = make_layout(picture)
    # A whole pipeline has no end that is worth a mark.
    ends = set(plan.graph.ends) if len(plan.graph.ends) < len(plan.stages) else set()
    legend = _legend([card for card in picture.cards.values()], plain)
    view = {
        "columns": [{"x": x, "text": STEPS[step]} for step, x in sorted(layout.columns.items())],
        "title": plan.graph.target,
        "note": _note(plan, plain),
        "margin": MARGIN,
        "top": TOP,
        "width": round(max(layout.width, legend[-1]["end"]) + 2 * MARGIN),
        "height": round(layout.height + TOP + LEGEND + MARGIN),
        "legend_y": round(layout.height + TOP + LEGEND),
        "legend": legend,
        "groups": [
            {"heading": shorten(picture.headings[name], max(18, int(box.width / 8))), **_box(box)}
            for name, box in sorted(layout.groups.items())
        ],
        "arrows": [{"start": start, "end": end, "path": path} for (start, end), path in sorted(layout.paths.items())],
        "cards": [
            _card(identity, card, layout.cards[identity], ends, plain)
            for identity, card in sorted(picture.cards.items())
        ],
    }
    return _environment().get_template("graph.svg.jinja").render(view)


def draw_html(plan: Plan) -> str:
    """Return a page: the picture, where pointing at a stage shows its way, and a row for every stage."""
    rows = [
        {
            "name": stage.name,
            "state": stage.state.value,
            "words": STATE_WORDS[stage.state],
            "where": stage.where,
            "why": stage.why,
            "seconds": "" if stage.seconds is None else duration(stage.seconds),
            "size": "" if stage.size is None else byte_count(stage.size),
            "output": stage.output or "",
        }
        for stage in plan.stages.values()
    ]
    view = {"target": plan.graph.target, "note": _note(plan, False), "svg": draw_svg(plan), "rows": rows}
    return _environment().get_template("graph.html.jinja").render(view)


def graph_json(plan: Plan) -> dict[str, Any]:
    """Return the graph as data (schemas/reel-graph.json)."""
    return {
        "target": plan.graph.target,
        "stages": [
            {
                "name": name,
                "kind": stage.kind,
                "environment": stage.environment,
                "needs": list(plan.graph.needs[name]),
                "state": plan.stages[name].state.value,
                "where": plan.stages[name].where,
                "seconds": plan.stages[name].seconds,
                "bytes": plan.stages[name].size,
                "output": plan.stages[name].output,
                "derivation": stage.drv,
            }
            for name, stage in plan.graph.stages.items()
        ],
        "totals": plan.totals(),
    }


def _card(identity: str, card: Card, box: Any, ends: set[str], plain: bool) -> dict[str, Any]:
    states = card.states
    several = len(card.members) > 1
    count = f"{TIMES}{len(card.members):,}" if several else ""
    worst = next(state for state in (State.TO_BUILD, State.UNKNOWN, State.BUILT) if states[state.value])
    colours = [f"s{card.step}"] if plain else [state.value for state in State if states[state.value]]
    if not plain and NOWHERE in card.places:
        colours = ["nowhere"]
    shares = [1.0] if len(colours) == 1 else [states[colour] / len(card.members) for colour in colours]
    bars, y = [], box.y
    for colour, share in zip(colours, shares, strict=True):
        bars.append({"colour": colour, "y": round(y, 1), "height": round(box.height * share, 1)})
        y += box.height * share
    return {
        "id": identity,
        "classes": " ".join(
            filter(
                None,
                ["" if plain else worst.value, "end" if ends & {m.name for m in card.members} and not several else ""],
            )
        ),
        "stacked": several,
        "bars": bars,
        "title": shorten(card.title, 18 - len(count) if several else 19),
        "count": count,
        "note": f"environment {card.environment}" if plain else _card_note(card),
        "files": _files(card),
        "tip": _tip(card, plain),
        **_box(box),
    }


def _files(card: Card) -> str:
    more = f" +{len(card.files) - 1}" if len(card.files) > 1 else ""
    return shorten(min(card.files), 24 - len(more)) + more if card.files else ""


def _card_note(card: Card) -> str:
    states, parts = card.states, []
    if states["built"] and len(states) > 1:
        parts.append(f"{states['built']:,} of {len(card.members):,} built")
    elif not states["built"] and card.places:
        parts.append("no builder" if NOWHERE in card.places else "remote")
    elif not states["built"]:
        parts.append("to build" if states["to-build"] else "perhaps")
    if card.seconds is not None:
        parts.append(duration(card.seconds) if states["built"] == len(card.members) else f"~{duration(card.seconds)}")
    if card.size is not None and len(states) == 1:
        parts.append(byte_count(card.size))
    return " · ".join(parts)


def _tip(card: Card, plain: bool) -> str:
    if plain:
        return card.members[0].name if len(card.members) == 1 else f"{counted(len(card.members), 'stage')} {card.title}"
    if len(card.members) > 1:
        return f"{card.title}: " + ", ".join(f"{count} {state}" for state, count in sorted(card.states.items()))
    [member] = card.members
    return "\n".join(
        [f"{member.name}: {STATE_WORDS[member.state]}", *member.why, *([member.output] if member.output else [])]
    )


def _note(plan: Plan, plain: bool) -> str:
    episodes = len({stage.set for stage in plan.graph.stages.values()} & plan.graph.episodes)
    size = f"{counted(len(plan.stages), 'stage')}, {counted(episodes, 'episode')}"
    if plain:
        return size
    counts = [
        f"{plan.count(state):,} {words}"
        for state, words in zip(State, ("built", "to build", "unknown until their inputs are built"), strict=True)
        if plan.count(state)
    ]
    return f"{size}: {', '.join(counts)}"


def _legend(cards: list[Card], plain: bool) -> list[dict[str, Any]]:
    if plain:
        entries = [(f"s{step}", STEPS[step]) for step in sorted({card.step for card in cards})]
    else:
        states = {state for card in cards for state in card.states}
        entries = [(state.value, STATE_WORDS[state]) for state in State if state.value in states]
        entries += [("nowhere", PLACES["nowhere"])] if any(NOWHERE in card.places for card in cards) else []
    legend, x = [], MARGIN
    for colour, text in entries:
        end = x + 15 + round(len(text) * LETTER) + 22
        legend.append({"colour": colour, "text": text, "x": x, "end": end})
        x = end
    return legend


def _box(box: Any) -> dict[str, float]:
    return {name: round(getattr(box, name), 1) for name in ("x", "y", "width", "height")}


def _environment() -> Environment:
    folder = Path(__file__).parent
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
