"""The licence gate's verdicts for readers: which works we may use and why not, and what a release must say about them.

The gate itself is nix/licences.nix; nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.graph.evaluate import Checkout
from reelgraph.models.store import evaluate
from reelgraph.stage import validate

DOCUMENT = Path("docs/research/model-licensing.md")
_VERDICTS = '{ root }: (import (/. + root + "/nix/licences.nix") { }).verdicts'
# A folder of links to several stages, like smoke.latents, has them beside its own attributes.
_REACHED = """
value:
let
  works = value: if builtins.isAttrs value then value.works or [ ] else [ ];
  own = [ "all" "drvAttrs" "drvPath" "out" "outPath" ];
in
value.works or (builtins.concatMap works (builtins.attrValues (removeAttrs value own)))
"""
_SCHEMAS = {
    "materials/licences/terms/*.json": "licence",
    "materials/licences/works/*.json": "work",
    "materials/profile.json": "profile",
}


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one work. ``because`` is empty where it is allowed; ``held`` is the agreement that lifts
    what its licence would forbid."""

    name: str
    title: str
    kind: str
    licence: str
    licence_title: str
    licence_source: Mapping[str, str]
    clauses: Mapping[str, Mapping[str, str]]
    allowed: bool
    because: str
    lifted_by: str | None
    held: str | None
    attribution: str
    notice: str | None
    obligations: Sequence[str]
    share_alike: bool
    source: str | None
    to_check: Sequence[str]


def read_verdicts(root: Path) -> dict[str, Verdict]:
    """Check licences, works and profile against their schemas, and return the gate's verdict on every work by name."""
    for pattern, schema in _SCHEMAS.items():
        for path in sorted(root.glob(pattern)):
            validate(read_json(path), schema, path.relative_to(root).as_posix())
    found = evaluate(_VERDICTS, root=str(root))
    assert isinstance(found, dict)
    fields = Verdict.__dataclass_fields__
    return {
        name: Verdict(**{key: value for key, value in verdict.items() if key in fields})
        for name, verdict in found.items()
    }


def reached_works(checkout: Checkout, target: str) -> list[str]:
    """Return the names of the works that a target's closure reaches; evaluates, and builds nothing."""
    works: list[str] = checkout.evaluate(target if "#" in target else f".#{target}", _REACHED)
    return sorted(set(works))


def require_allowed(verdict: Verdict, what: str) -> None:
    """Raise a StageError with the clause, and what would lift it, if the profile may not use a work."""
    if not verdict.allowed:
        lift = f"; lifted by {verdict.lifted_by}" if verdict.lifted_by else ""
        raise StageError(
            f"{what} ({verdict.licence_title}): materials/profile.json may not use it: {verdict.because}{lift}"
        )


def table(verdicts: Iterable[Verdict]) -> str:
    """Return one line a work: name, kind, licence, and whether we may use it or why not."""
    rows = [
        (
            verdict.name,
            verdict.kind,
            verdict.licence,
            _answer(verdict) + ("" if verdict.allowed else f": {verdict.because}"),
        )
        for verdict in verdicts
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)] if rows else []
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) for row in rows
    )


def release_text(verdicts: Iterable[Verdict]) -> str:
    """Return what a release made with these works must carry, and what else their licences ask of us."""
    chosen = list(verdicts)
    lines = [
        line for verdict in chosen for line in (verdict.attribution, f"  {verdict.notice or verdict.licence_title}")
    ]
    asked = [f"  {verdict.licence_title}: {obligation}" for verdict in chosen for obligation in verdict.obligations]
    return "\n".join([*lines, *(["", "Besides, their licences ask:", "", *dict.fromkeys(asked)] if asked else [])])


def document(
    verdicts: Mapping[str, Verdict], profile: Mapping[str, Any], terms: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return docs/research/model-licensing.md: the comparison, the clauses it rests on, and what is left to check."""
    chosen = sorted(verdicts.values(), key=lambda verdict: (verdict.kind != "model", not verdict.allowed, verdict.name))
    rows = [
        [
            verdict.title,
            verdict.kind,
            f"[{verdict.licence_title}](#{verdict.licence})",
            "yes" if terms[verdict.licence]["commercial_use"] else "no",
            _limits(terms[verdict.licence]),
            f"**{_answer(verdict)}**" + ("" if verdict.allowed else f": {verdict.because}"),
            "" if verdict.allowed or not verdict.lifted_by else verdict.lifted_by,
        ]
        for verdict in chosen
    ]
    lines = [
        "# What may we train with, and on",
        "",
        "Made by `reel licences --document` from `materials/models`, `materials/licences` and",
        "`materials/profile.json`; do not edit it, edit those. The same data decides at evaluation: a target that",
        "reaches a work with a **no** does not evaluate. It is a reading aid and no legal advice.",
        "",
        f"The profile: {profile['who']}",
        "",
        *_markdown(
            ["profile", ""], [[name.replace("_", " "), _plain(profile[name])] for name in profile if name != "who"]
        ),
        "",
        *_markdown(["work", "kind", "licence", "commercial", "limits", "may we use it", "lifted by"], rows),
        "",
        "## Licences",
    ]
    for name in sorted(terms):
        lines += ["", *_licence(name, terms[name])]
    checks = [f"- {verdict.title}: {check}" for verdict in chosen for check in verdict.to_check]
    return "\n".join([*lines, "", "## For a person to check", "", *dict.fromkeys(checks)]) + "\n"


def write_document(root: Path) -> str:
    """Return the document's text for the checkout at ``root``."""
    terms = {path.stem: read_json(path) for path in sorted((root / "materials/licences/terms").glob("*.json"))}
    return document(read_verdicts(root), read_json(root / "materials/profile.json"), terms)


def _answer(verdict: Verdict) -> str:
    return ("yes, under an agreement" if verdict.held else "yes") if verdict.allowed else "no"


def _limits(terms: Mapping[str, Any]) -> str:
    limits = []
    if not terms["published"]:
        limits.append("weights not published")
    if terms["agreement_required"]:
        limits.append("signed agreement only")
    if terms["revenue_limit"]:
        limits.append(f"free below {terms['revenue_limit']['usd']:,} USD a year")
    if terms["monthly_users_limit"]:
        limits.append(f"free up to {terms['monthly_users_limit']:,} monthly users")
    if terms["excluded_territories"]:
        limits.append(f"not in {', '.join(terms['excluded_territories'])}")
    if terms["share_alike"]:
        limits.append("share alike")
    return "; ".join(limits) or "none"


def _licence(name: str, terms: Mapping[str, Any]) -> list[str]:
    title = f"[{terms['title']}]({terms['source']['url']})" if terms["source"]["url"] else terms["title"]
    lines = [f'<a id="{name}"></a>**{title}**, read: {terms["source"]["read"]}', ""]
    lines += [
        f"- {term.replace('_', ' ')}, {clause['where']}: “{clause['quote']}”"
        for term, clause in terms["clauses"].items()
    ]
    lines += [f"- asks for: {obligation}" for obligation in terms["obligations"]]
    lines += [f"- notice to keep: {terms['notice']}"] if terms["notice"] else []
    return lines


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "not stated, so above every limit"
    if isinstance(value, dict):
        return ", ".join(f"{name} ({where})" for name, where in sorted(value.items())) or "none"
    return ", ".join(value) if isinstance(value, list) else f"{value:,}"
