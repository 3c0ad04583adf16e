"""What a picture of the graph shows: cards, groups and arrows; large graphs are folded until they can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

from reelgraph.graph.plan import Plan, StagePlan
from reelgraph.graph.steps import step_of

# How many cards a picture may have before episodes are folded, how many differing episodes it then still tells apart,
# and how many stages of one kind stand beside each other or, as segments of a training, one after the other.
MOST_CARDS = 60
MOST_FOLDS = 4
MOST_ALIKE = 2
MOST_CHAINED = 4
DATASET = "dataset"


@dataclass
class Card:
    """A stage, or several alike, as one box; ``files`` are the names of its inputs that no stage makes."""

    title: str
    step: int
    group: str
    environment: str
    members: list[StagePlan] = field(default_factory=list)
    files: set[str] = field(default_factory=set)

    @property
    def states(self) -> Counter[str]:
        """How many members are in each state."""
        return Counter(member.state.value for member in self.members)

    @property
    def seconds(self) -> float | None:
        """Recorded or estimated seconds of those members that these are known of, or None."""
        known = [member.seconds for member in self.members if member.seconds is not None]
        return sum(known) if known else None

    @property
    def size(self) -> int | None:
        """NAR bytes of the outputs that are built, or None."""
        known = [member.size for member in self.members if member.size is not None]
        return sum(known) if known else None

    @property
    def places(self) -> list[str]:
        """Where members are built if not on this machine."""
        return sorted({member.where for member in self.members} - {"local"})


@dataclass
class Picture:
    """Cards and groups' headings by id, cards before those that need them, and arrows between cards."""

    cards: dict[str, Card] = field(default_factory=dict)
    headings: dict[str, str] = field(default_factory=dict)
    arrows: list[tuple[str, str]] = field(default_factory=list)


def make_picture(plan: Plan) -> Picture:
    """Return the picture of a plan: one card a stage, or where that would be too many, one for several alike."""
    groups, headings = _groups(plan)
    graph, picture, card_of = plan.graph, Picture(headings=headings), {}
    alike = _alike(plan, groups)
    folded = {key: _is_folded(plan, key[0], names) for key, names in alike.items()}
    steps: dict[str, int] = {}
    for name, stage in graph.stages.items():
        key = groups[name], stage.stage
        is_one_of_several = not folded[key] and len(alike[key]) > 1
        title = f"{stage.stage} {stage.set.rpartition('-')[2]}" if is_one_of_several else stage.stage
        identity = f"{groups[name]}/{stage.stage}" if folded[key] else name
        steps[name] = step_of(stage.stage, stage.kind, (steps[needed] for needed in graph.needs[name]))
        card = picture.cards.setdefault(identity, Card(title, steps[name], groups[name], stage.environment))
        card.members.append(plan.stages[name])
        card_of[name] = identity
        for label, source in flat_edges(stage.edges).items():
            if source not in graph.stages:
                card.files.add(f"{label} of each" if _is_fold(groups[name]) else source)
    arrows = {(card_of[needed], card_of[name]) for name in graph.stages for needed in graph.needs[name]}
    picture.arrows = _reduced({(start, end) for start, end in arrows if start != end})
    return picture


def _alike(plan: Plan, groups: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """Return the names of the stages of each (group, stage)."""
    alike: dict[tuple[str, str], list[str]] = {}
    for name, stage in plan.graph.stages.items():
        alike.setdefault((groups[name], stage.stage), []).append(name)
    return alike


def _is_folded(plan: Plan, group: str, names: Sequence[str]) -> bool:
    """Whether stages are drawn as one card: those of several episodes, and many alike in the dataset."""
    members = set(names)
    is_chain = any(needed in members for name in names for needed in plan.graph.needs[name])
    return _is_fold(group) or len(names) > (MOST_CHAINED if is_chain else MOST_ALIKE)


def _groups(plan: Plan) -> tuple[dict[str, str], dict[str, str]]:
    """Return each stage's group and the groups' headings: an episode or several alike, and the dataset."""
    graph = plan.graph
    of_set: dict[str, list[str]] = {}
    for name, stage in graph.stages.items():
        of_set.setdefault(stage.set, []).append(name)
    episodes = [name for name in of_set if name in graph.episodes]
    groups = {name: DATASET for name in graph.stages}
    headings = {DATASET: f"dataset {graph.dataset}".strip()}
    if len(graph.stages) <= MOST_CARDS or len(episodes) == 1:
        folds = {episode: [episode] for episode in episodes}
    else:
        folds = _folds({episode: [plan.stages[name] for name in of_set[episode]] for episode in episodes})
    for key, members in folds.items():
        headings[key] = (
            f"episode {members[0]}" if len(members) == 1 else f"{len(members)} episodes: {members[0]} … {members[-1]}"
        )
        for episode in members:
            groups.update(dict.fromkeys(of_set[episode], key))
    return groups, headings


def _folds(episodes: Mapping[str, Sequence[StagePlan]]) -> dict[str, list[str]]:
    """Return which episodes are drawn as one: same stages in same states; the rarest of them together."""
    alike: dict[Any, list[str]] = {}
    for episode, stages in episodes.items():
        alike.setdefault(tuple(sorted((stage.stage, stage.state) for stage in stages)), []).append(episode)
    ordered = sorted(alike.values(), key=lambda members: -len(members))
    if len(ordered) > MOST_FOLDS:
        rest = sorted(episode for members in ordered[MOST_FOLDS - 1 :] for episode in members)
        ordered = [*ordered[: MOST_FOLDS - 1], rest]
    return {f"fold:{index}": members for index, members in enumerate(ordered)}


def _is_fold(group: str) -> bool:
    return group.startswith("fold:")


def flat_edges(edges: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of what each input comes from, by label; inputs that are left out are left out."""
    flat: dict[str, str] = {}
    for name, value in edges.items():
        if isinstance(value, Mapping):
            flat.update({f"{name}.{key}": source for key, source in value.items()})
        elif value is not None:
            flat[name] = value
    return flat


def _reduced(arrows: set[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the arrows that no longer way round says already, so that the picture can be read."""
    readers: dict[str, set[str]] = {}
    sources: dict[str, set[str]] = {}
    for start, end in sorted(arrows):
        readers.setdefault(start, set()).add(end)
        sources.setdefault(end, set()).add(start)
    order = list(TopologicalSorter({end: sorted(sources[end]) for end in sorted(sources)}).static_order())
    behind: dict[str, set[str]] = {}
    for node in reversed(order):
        behind[node] = set().union(*({reader} | behind[reader] for reader in readers.get(node, ())))
    place = {node: index for index, node in enumerate(order)}
    kept = [
        arrow
        for arrow in arrows
        if not any(arrow[1] in behind[other] for other in readers[arrow[0]] if other != arrow[1])
    ]
    return sorted(kept, key=lambda arrow: (place[arrow[0]], place[arrow[1]]))
