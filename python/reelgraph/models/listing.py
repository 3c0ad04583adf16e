"""What the commands of ``reel models`` print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reelgraph.models import store
from reelgraph.models.catalogue import read_models
from reelgraph.models.licences import read_verdicts
from reelgraph.train.estimates import fitting, table


def list_rows(root: Path) -> list[dict[str, Any]]:
    """Return for each model whether we may use it, whether it is locked, and what of it is in the store."""
    models = read_models(root)
    verdicts = read_verdicts(root)
    paths = store.store_paths(root, models.values())
    absent = store.missing_paths(paths.values())
    return [
        {
            "name": model.name,
            "title": model.title,
            "group": model.group,
            "licence": model.licence,
            "allowed": verdicts[model.name].allowed,
            "locked": model.wheel is not None or model.revision is not None,
            "revision": model.revision,
            "bytes": model.size if model.revision else None,
            "files": len(model.files),
            "in_store": sum(paths[file] not in absent for file in model.files),
        }
        for model in models.values()
    ]


def where(row: Mapping[str, Any]) -> str:
    """Return where a row's weights are."""
    if row["revision"] is None:
        return "from a package registry" if row["locked"] else "not locked"
    return f"{row['in_store']} of {row['files']} files in the store, {row['bytes'] / 1e9:.2f} GB"


def lock_change(old_revision: str | None, old: dict[str, str], new_revision: str, new: dict[str, str]) -> str:
    """Return what a new lock changed: hashes by file, and the revision."""
    if old_revision is None:
        return "  was not locked before"
    changes = [f"- {path}" for path in sorted(old.keys() - new.keys())] + [
        f"+ {path}" for path in sorted(new.keys() - old.keys())
    ]
    changes += [f"~ {path}" for path in sorted(old.keys() & new.keys()) if old[path] != new[path]]
    moved = "" if old_revision == new_revision else f"  revision was {old_revision}\n"
    return moved + "\n".join(f"  {change}" for change in changes or ["no file changed"])


def tier_lines() -> Iterator[str]:
    """Yield for each tier of GPU memory what was measured to fit."""
    known = table()
    yield f"A training step, measured on {known['gpu']}: {known['conditions']}"
    clips = list(dict.fromkeys((row["model"], row["clip"], row["tokens"]) for row in known["measured"]))
    for memory in known["tiers_gb"]:
        yield f"{memory} GB"
        for model, clip, tokens in clips:
            found = fitting(model, tokens, memory)
            fits = (
                f"recompute {found.recompute}, {found.peak_gib:g} GiB, {found.seconds:g} s" if found else "does not fit"
            )
            yield f"  {model}, {clip}: {fits}"
