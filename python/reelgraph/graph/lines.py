"""A plan as lines to read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from reelgraph.graph.builders import LOCAL
from reelgraph.graph.plan import Plan, StagePlan
from reelgraph.graph.state import State
from reelgraph.graph.words import counted
from reelgraph.report.page import duration

MOST_REASONS = 3
_WORDS = {State.BUILT: "built", State.TO_BUILD: "to build", State.UNKNOWN: "perhaps"}


def plan_lines(plan: Plan, every: bool) -> Iterator[str]:
    """Yield a plan as lines; if not ``every`` stage, built ones without changes are only counted, and episodes or a
    training's segments that are alike are one line.
    """
    totals = plan.totals()
    counts = [
        f"{totals['built']:,} built",
        f"{totals['to_build']:,} to build",
        f"{totals['unknown']:,} unknown until their inputs are built",
    ]
    yield f"{plan.graph.target}: {counted(totals['stages'], 'stage')}: {', '.join(counts)}"
    shown = [stage for stage in plan.stages.values() if every or stage.state != State.BUILT or stage.changes]
    rows = [_row(plan, group) for group in ([[stage] for stage in shown] if every else _alike(plan, shown))]
    if rows:
        yield ""
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
        for row in rows:
            yield "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
    yield from _total_lines(plan)


def _total_lines(plan: Plan) -> Iterator[str]:
    totals = plan.totals()
    if not totals["to_build"] and not totals["unknown"]:
        yield "Nothing is to be built."
        return
    yield ""
    least, most = duration(totals["seconds"]), duration(totals["seconds_at_most"])
    without = (
        f", without {counted(totals['without_estimate'], 'stage')} never built" if totals["without_estimate"] else ""
    )
    if totals["without_estimate"] == totals["to_build"] + totals["unknown"]:
        yield f"Time: not known, {counted(totals['without_estimate'], 'stage')} never built."
    else:
        yield f"Time, one stage after the other: {least if least == most else f'{least} to {most}'}{without}."
    if totals["nowhere"]:
        yield f"{counted(totals['nowhere'], 'stage')} can be built nowhere: no builder offers what is needed."
    remote = [stage for stage in plan.stages.values() if stage.state != State.BUILT and stage.where != LOCAL]
    if remote and plan.price is not None:
        yield f"Cost on builders at {plan.price.hourly} {plan.price.currency} an hour ({plan.price.source}): " + _cost(
            f"{totals['cost']} {totals['currency']}", len(remote), sum(stage.seconds is None for stage in remote)
        )
    elif remote:
        yield f"{counted(len(remote), 'stage')} on builders; for their cost give --price."


def _cost(known: str, stages: int, unknown: int) -> str:
    """Return what is known of the cost of stages, of which ``unknown`` ones were never built."""
    if not unknown:
        return f"at most {known}."
    if unknown < stages:
        timed = counted(stages - unknown, "stage")
        return f"at most {known} for {timed}; {unknown:,} more were never built, so what they cost is not known."
    return f"not known, {counted(stages, 'stage')} never built; docs/cost.md works one out."


def _alike(plan: Plan, stages: Sequence[StagePlan]) -> list[list[StagePlan]]:
    """Return the stages in groups: those of several episodes, or of a training's segments, that have the same state for
    the same reasons together.
    """
    groups: dict[object, list[StagePlan]] = {}
    for stage in stages:
        kind, name = _kind(plan, stage), plan.graph.stages[stage.name].set
        why: object = stage.name
        if kind == "episode":
            why = tuple(sentence.replace(f"{name}/", "") for sentence in stage.why)
        elif kind == "segment":
            # What each waits for is the one before it.
            why = tuple(change.sentence for change in stage.changes)
        groups.setdefault((kind, stage.stage, stage.state, stage.where, why), []).append(stage)
    return list(groups.values())


def _kind(plan: Plan, stage: StagePlan) -> str:
    """Return what a stage is one of several of: ``episode``, ``segment``, or "" where it is the only one."""
    name = plan.graph.stages[stage.name].set
    if name in plan.graph.episodes:
        return "episode"
    return "segment" if re.search(r"-segment-\d+$", name) else ""


def _row(plan: Plan, group: Sequence[StagePlan]) -> list[str]:
    first = group[0]
    episode = plan.graph.stages[first.name].set
    name = first.name if len(group) == 1 else f"{counted(len(group), _kind(plan, first))}/{first.stage}"
    known = [stage.seconds for stage in group if stage.seconds is not None]
    mark = "" if first.state == State.BUILT else "~"
    reasons = first.why
    if len(reasons) > MOST_REASONS:
        # The last reason is what it waits for.
        last = reasons[-1:] if first.waits_for else ()
        left_out = len(reasons) - (MOST_REASONS - 1) - len(last)
        reasons = (*reasons[: MOST_REASONS - 1], f"{left_out} more", *last)
    why = "; ".join(reasons)
    return [
        _WORDS[first.state],
        name,
        first.where,
        f"{mark}{duration(sum(known))}" if known else "?",
        why if len(group) == 1 else why.replace(f"{episode}/", ""),
    ]
