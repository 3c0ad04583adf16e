"""Masters: list them in a manifest, bring them into the store, see what is missing, forget one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from reelgraph.cli import Group
from reelgraph.errors import StageError
from reelgraph.graph.words import agree, counted

FOLDER = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
FILE = click.option("--manifest", "file", type=click.Path(path_type=Path), help="Manifest instead of the project's.")


@click.group(name="manifest", cls=Group)
def command() -> None:
    """The manifest of the masters that may be trained on.

    Masters are never in git: the manifest names each by its hash, and the store holds them under it.

    Example: reel manifest build /masters && reel manifest ingest /masters
    """


def _paths(file: Path | None) -> tuple[Path, Path, Path]:
    """Return the manifest, the table and the patterns."""
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.manifest.document import MANIFEST, PATTERNS, TABLE

    root = find_checkout().root
    return file or root / MANIFEST, (file.with_suffix(".csv") if file else root / TABLE), root / PATTERNS


def _refuse(sentences: list[str]) -> None:
    for sentence in sentences:
        print(f"reel: {sentence}", file=sys.stderr)
    if sentences:
        are = "it is" if len(sentences) == 1 else "they are"
        raise StageError(f"{len(sentences)} of the masters cannot be used as {are}; see above")


@command.command()
@FOLDER
@click.option(
    "--bible", type=click.Path(path_type=Path, exists=True), help="Bible whose episodes the titles are matched with."
)
@click.option("--patterns", type=click.Path(path_type=Path), help="How files are named, instead of name-patterns.json.")
@click.option("--leave-out", is_flag=True, help="Write the manifest without the masters that cannot be used.")
@FILE
def build(folder: Path, bible: Path | None, patterns: Path | None, leave_out: bool, file: Path | None) -> None:
    """Probe and hash every master in DIR and write the manifest and its table.

    What people wrote under by_hand stays. A file whose size and time are those of the last call is not read again, and
    a call that was killed goes on where it was.

    Example: reel manifest build /masters --bible materials/bible.yaml
    """
    from reelgraph.files import read_json
    from reelgraph.manifest.build import build as build_manifest
    from reelgraph.manifest.document import problems, write_manifest, write_table
    from reelgraph.manifest.hashes import Hashes
    from reelgraph.manifest.names import read_patterns

    place, table, usual_patterns = _paths(file)
    names = read_patterns(patterns or usual_patterns)
    before: dict[str, Any] = read_json(place) if place.exists() else {"episodes": [], "smoke_subset": []}
    built = build_manifest(folder, names, Hashes(), before["episodes"], _bible_episodes(bible))
    if built.refused and not (leave_out and built.episodes):
        _refuse(built.refused)
    known = {episode["id"] for episode in built.episodes}
    manifest = {
        "series": names.series,
        "language": names.default_language,
        "work": before.get("work", names.series),
        "smoke_subset": [name for name in before["smoke_subset"] if name in known],
        "episodes": built.episodes,
    }
    for sentence in problems(manifest):
        raise StageError(f"{place.name}: {sentence}")
    write_manifest(place, manifest)
    write_table(table, manifest)
    for sentence in built.refused:
        print(f"reel: left out: {sentence}", file=sys.stderr)
    gone = sorted({episode["id"] for episode in before["episodes"]} - known)
    print(
        f"{place}: {counted(len(built.episodes), 'master')}" + (f"; no longer there: {', '.join(gone)}" if gone else "")
    )


def _bible_episodes(bible: Path | None) -> list[dict[str, Any]]:
    from reelgraph.text.bible import read_bible

    whole = {} if bible is None else read_bible(bible)
    episodes = (whole.get("episodes") or []) if isinstance(whole, dict) else None
    if not isinstance(episodes, list) or any(not isinstance(one, dict) or {"id", "title"} - {*one} for one in episodes):
        raise StageError(f"{bible.name}: is no bible; expected 'episodes' in YAML or JSON, each with 'id' and 'title'")
    return episodes


@command.command()
@FILE
def validate(file: Path | None) -> None:
    """Check the manifest against its schema and against itself.

    Example: reel manifest validate
    """
    from reelgraph.manifest.document import read_manifest

    place = _paths(file)[0]
    print(f"{place}: {counted(len(read_manifest(place)['episodes']), 'master')}, valid")


@command.command()
@FOLDER
@FILE
def ingest(folder: Path, file: Path | None) -> None:
    """Verify the masters in DIR against the manifest and add those that the store lacks.

    A master that the store has may be gone from DIR; a file that is there is verified. A file whose size and time are
    those of the last call is not read again.

    Example: reel manifest ingest /masters
    """
    from reelgraph.byte_progress import byte_progress
    from reelgraph.manifest import store
    from reelgraph.manifest.document import read_manifest
    from reelgraph.manifest.hashes import Hashes

    episodes = read_manifest(_paths(file)[0])["episodes"]
    total = sum(episode["bytes"] for episode in episodes)
    with byte_progress("ingest", total) as on_bytes:
        added, refused = store.ingest(folder, episodes, Hashes(), on_bytes)
    there = len(episodes) - added - len(refused)
    print(f"{added} added, {there} {agree(there, 'was')} there")
    _refuse(refused)


@command.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@FILE
@AS_JSON
def status(folder: Path | None, file: Path | None, as_json: bool) -> None:
    """Say which masters the store has, and which files in DIR are missing or altered. Exit status 1 unless all is well.

    Example: reel manifest status /masters
    """
    from reelgraph.manifest import store
    from reelgraph.manifest.document import read_manifest
    from reelgraph.manifest.hashes import Hashes

    found = store.status(read_manifest(_paths(file)[0])["episodes"], folder, Hashes())
    if as_json:
        print(json.dumps({"present": found.present, "missing": found.missing, "altered": found.altered}, indent=2))
    else:
        print(f"{len(found.present)} in the store, {len(found.missing)} missing, {len(found.altered)} altered")
        for name in found.missing:
            print(f"missing  {name}")
        for name, why in found.altered.items():
            print(f"altered  {name}: {why}")
    sys.exit(1 if found.missing or found.altered else 0)


@command.command(name="keep-once")
@click.argument("variants", type=click.Path(path_type=Path, exists=True))
@FILE
def keep_once(variants: Path, file: Path | None) -> None:
    """Drop the openings and endings that VARIANTS, the output of .#iiw.variants, found in several episodes.

    The first episode that is trained on keeps each; in the others its frames become a `drop` of their cut corrections,
    where a person may change them.

    Example: reel manifest keep-once result
    """
    from reelgraph.files import read_json
    from reelgraph.manifest import recurring
    from reelgraph.manifest.document import MANIFEST, read_manifest

    place = _paths(file)[0]
    source = variants / "variants.json" if variants.is_dir() else variants
    if not source.exists():
        raise StageError(f"{variants}: holds no variants.json; give what .#iiw.variants was built to", status=2)
    found = read_json(source)
    folder = place.parents[len(MANIFEST.parts) - 1] / recurring.CUTS
    added = recurring.keep_once(found, read_manifest(place), folder)
    if not added:
        print("no opening or ending recurs in what is trained on")
    for name, count in added.items():
        print(f"{folder / name}.json: {count} added")


@command.command()
@click.argument("episode")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@AS_JSON
def forget(episode: str, dry_run: bool, as_json: bool) -> None:
    """Delete EPISODE's master and everything cut from it from the store, and say what still refers to it.

    Datasets and checkpoints made from it are named, not deleted. Exit status 1 while anything is left.

    Example: reel manifest forget iiw-101 --dry-run
    """
    from reelgraph.manifest import store

    found = store.forget(episode, dry=dry_run)
    if not (found.deleted or found.kept or found.made_from_it):
        raise StageError(f"{episode}: the store holds nothing of it; see: reel manifest status")
    if as_json:
        print(json.dumps({"deleted": found.deleted, "kept": found.kept, "made_from_it": found.made_from_it}, indent=2))
    else:
        for path in found.deleted:
            print(f"{'would be deleted' if dry_run else 'deleted'}  {path}")
        for path, why in found.kept.items():
            print(f"kept  {path}: {', '.join(why)}")
        for path in found.made_from_it:
            print(f"made from it  {path}")
    sys.exit(1 if found.kept or found.made_from_it else 0)


@command.command()
@click.option("--install", is_flag=True, help="Make git ask this before every commit.")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True))
def guard(install: bool, files: tuple[Path, ...]) -> None:
    """Refuse media among FILES, by default those that the next commit would hold. Exit status 1 if there are any.

    Example: reel manifest guard --install
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.manifest.guard import install_hook, media_among, media_staged

    root = find_checkout().root
    if install:
        print(f"{install_hook(root)}: every commit is checked from now on")
        return
    _refuse_media(media_among(files) if files else media_staged(root))


def _refuse_media(found: list[str]) -> None:
    for sentence in found:
        print(f"reel: {sentence}", file=sys.stderr)
    if found:
        raise StageError("media never goes into git; unstage it: git restore --staged FILE")
