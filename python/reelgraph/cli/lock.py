"""Regenerate python/locks: one hash-locked list for each dependency group of python/pyproject.toml."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import click
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reelgraph.errors import StageError
from reelgraph.progress import progress

# As pip names a package of an index, and a wheel of a folder.
_COLLECTING = re.compile(r"\s*(?:Collecting ([\w.-]+)|Processing .*/([\w.]+)-[^/]+\.whl)")


def group_requirements(groups: dict[str, list[Any]], group: str) -> list[str]:
    """Return a dependency group's requirements with its included groups (PEP 735) in place."""
    requirements: list[str] = []
    for entry in groups[group]:
        requirements += [entry] if isinstance(entry, str) else group_requirements(groups, entry["include-group"])
    return list(dict.fromkeys(requirements))


def resolve(
    requirements: Iterable[str], constraints: Iterable[str], on_package: Callable[[str], None] = lambda name: None
) -> dict[str, dict[str, Any]]:
    """Let pip choose one wheel for everything that ``requirements`` need; return its report's entries by name.

    ``constraints`` are ``name==version`` of what is kept at that version if it is needed at all; ``on_package`` hears
    of each package once, as pip comes to it.
    """
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--progress-bar", "off"]
    # Local folders would offer files that the package index does not have under the same hash.
    command += ["--only-binary", ":all:", "--no-cache-dir", *requirements]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+", errors="replace") as complaints:
        report, pins = Path(folder, "report.json"), Path(folder, "constraints.txt")
        pins.write_text("\n".join(constraints))
        command += ["--report", str(report), "--constraint", str(pins)]
        seen: set[str] = set()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=complaints, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                found = _COLLECTING.match(line)
                if found and (name := canonicalize_name(found[1] or found[2])) not in seen:
                    seen.add(name)
                    on_package(name)
        if process.returncode:
            complaints.seek(0)
            raise StageError(
                f"pip could not resolve the requirements of pyproject.toml:\n{complaints.read().strip()}\n"
                "where a package that is locked is in the way, name it: reel lock --upgrade NAME"
            )
        chosen = json.loads(report.read_text())["install"]
    return {canonicalize_name(entry["metadata"]["name"]): entry for entry in chosen}


def closure(requirements: Iterable[str], resolved: dict[str, dict[str, Any]]) -> set[str]:
    """Return the names of everything that ``requirements`` reach among the resolved packages."""
    reached: set[tuple[str, str]] = set()
    pending = [(Requirement(text), "") for text in requirements]
    while pending:
        requirement, wanted_by = pending.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": wanted_by}):
            continue
        name = canonicalize_name(requirement.name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in reached:
                reached.add((name, extra))
                needed = resolved[name]["metadata"].get("requires_dist", [])
                pending += [(Requirement(text), extra) for text in needed]
    return {name for name, _ in reached}


def lines(names: Iterable[str], resolved: dict[str, dict[str, Any]]) -> list[str]:
    """Return the list's lines, sorted by name."""

    def line(name: str) -> str:
        version, archive = resolved[name]["metadata"]["version"], resolved[name]["download_info"]["archive_info"]
        return f"{name}=={version} --hash=sha256:{archive['hashes']['sha256']}"

    return [line(name) for name in sorted(names)]


def kept(folder: Path, requirements: Iterable[str], upgrade: Collection[str]) -> list[str]:
    """Return ``name==version`` of what the lists in ``folder`` hold, unless it is asked for anew.

    That is where ``upgrade`` names it, or where a requirement no longer allows the version.
    """
    locked = (line.split(" ")[0] for path in folder.glob("*.txt") for line in path.read_text().splitlines())
    versions = dict(pin.split("==") for pin in locked)
    named = {canonicalize_name(name) for name in upgrade}
    if unknown := sorted(named - set(versions)):
        raise StageError(f"--upgrade {unknown[0]}: no list in {folder} has it", status=2)
    wanted = [(canonicalize_name(one.name), one.specifier) for one in map(Requirement, requirements)]
    outgrown = {name for name, allowed in wanted if not allowed.contains(versions.get(name, "0"), prereleases=True)}
    return [f"{name}=={version}" for name, version in sorted(versions.items()) if name not in named | outgrown]


def read_groups(project: Path) -> dict[str, list[Any]]:
    """Return the dependency groups of a project, or raise a StageError that names its pyproject.toml."""
    path = project / "pyproject.toml"
    try:
        return tomllib.loads(path.read_text())["dependency-groups"]
    except FileNotFoundError as error:
        raise StageError(f"{path}: is not there; name the folder that has it, such as python", status=2) from error
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise StageError(f"{path}: has no [dependency-groups] to lock ({error})", status=2) from error


def relock(project: Path, upgrade: Collection[str] = ()) -> list[str]:
    """Rewrite ``project``'s lists for this machine's system; return one line for each package that changed.

    What is locked stays at its version unless ``upgrade`` names it: another version of any wheel builds all stages that
    see it again.
    """
    groups = read_groups(project)
    requirements = sorted({text for group in groups for text in group_requirements(groups, group)})
    # pip chooses wheels for the machine that it runs on.
    folder = project / "locks" / f"{platform.machine()}-linux"
    pins = kept(folder, requirements, upgrade)
    # What is locked is nearly what will be; a first list has only the requirements to go by.
    with progress("resolve with pip", len(pins) or len(requirements), "package") as counter:

        def on_package(name: str) -> None:
            counter.advance()
            counter.total = max(counter.total, counter.done)

        resolved = resolve(requirements, pins, on_package)
        counter.done = counter.total = len(resolved)
    folder.mkdir(parents=True, exist_ok=True)
    changes: set[str] = set()
    for group in sorted(groups):
        path = folder / f"{group}.txt"
        before = set(path.read_text().splitlines()) if path.exists() else set()
        after = lines(closure(group_requirements(groups, group), resolved), resolved)
        changes |= {f"- {line.split(' ')[0]}" for line in before - set(after)}
        changes |= {f"+ {line.split(' ')[0]}" for line in set(after) - before}
        path.write_text("\n".join(after) + "\n")
    return sorted(changes, key=lambda change: (change[2:], change[0]))


@click.command(name="lock")
@click.option("--upgrade", multiple=True, metavar="PACKAGE", help="Take this one's newest version; may be repeated.")
@click.argument("project", type=click.Path(path_type=Path, exists=True, file_okay=False), default="python")
def command(project: Path, upgrade: tuple[str, ...]) -> None:
    """Resolve PROJECT's pyproject.toml again and say what changed in its hash-locked lists for this machine's system.

    Packages keep the versions that they are locked at, so that what is added rebuilds no more than it must.

    Example: reel lock --upgrade torch python
    """
    changes = relock(project, upgrade)
    print("\n".join(changes) if changes else "nothing changed")
