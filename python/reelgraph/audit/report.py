"""An audit as an HTML page or as lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from reelgraph.audit.audit import DIFFERS, NOT_CHECKED, REPRODUCED, Audit, StageAudit
from reelgraph.graph.words import byte_count, counted
from reelgraph.report.page import duration, short_hash

# A stage that differs in all of a thousand files is told by the first few.
MOST_FILES, MOST_FILES_ON_PAGE = 3, 6
ORDER = (DIFFERS, NOT_CHECKED, REPRODUCED)
_COUNTED = {REPRODUCED: "reproduced", DIFFERS: "differ", NOT_CHECKED: "not checked"}


def audit_html(audit: Audit) -> str:
    """Return the page: what differs first and in full, then everything as a table."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        duration=lambda seconds: "" if seconds is None else duration(seconds), short_hash=short_hash, bytes=byte_count
    )
    stages = sorted(audit.stages, key=lambda stage: ORDER.index(stage.outcome))
    checked = audit.counts[REPRODUCED] + audit.counts[DIFFERS]
    view = {
        "audit": audit,
        "checked": checked,
        "most": MOST_FILES_ON_PAGE,
        "words": _COUNTED,
        "counted": counted,
        "differing": [stage for stage in audit.stages if stage.outcome == DIFFERS],
        "stages": stages,
        "counts": {outcome: audit.counts[outcome] for outcome in (REPRODUCED, DIFFERS, NOT_CHECKED)},
    }
    return environment.get_template("audit.html.jinja").render(view)


def audit_lines(audit: Audit) -> Iterator[str]:
    """Yield what is not reproduced, then the outcome."""
    for stage in sorted(audit.stages, key=lambda stage: ORDER.index(stage.outcome)):
        if stage.outcome != REPRODUCED:
            yield from _stage_lines(stage)
    yield audit.sentence


def _stage_lines(stage: StageAudit) -> Iterator[str]:
    yield f"{stage.outcome.replace('-', ' ')}: {stage.name}: {stage.reason}"
    for difference in stage.differences[:MOST_FILES]:
        yield f"    {difference.file}: {difference.summary}"
        yield from (f"        {detail}" for detail in difference.details)
        if difference.cause:
            yield f"        {difference.cause}"
    if len(stage.differences) > MOST_FILES:
        yield f"    and {counted(len(stage.differences) - MOST_FILES, 'file')} more (see --json or -o)"
