"""Lock, ingest and verify model weights."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reelgraph.cli import Group
from reelgraph.errors import StageError

if TYPE_CHECKING:
    from reelgraph.models.catalogue import Model
    from reelgraph.models.hub import Hub


@click.group(name="models", cls=Group)
def command() -> None:
    """Lock, ingest and verify the models of materials/models.

    NAME is a model or a group of them (wan22, qwen, asr, ltx2). The hub is the one that HF_ENDPOINT names; a token
    comes from HF_TOKEN or netrc and goes nowhere else.

    Example: reel models lock wan22 && reel models ingest wan22
    """


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def list_models(as_json: bool) -> None:
    """Say of every model whether we may use it, whether it is locked, and what of it is in the store.

    Example: reel models list
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.models.listing import list_rows, where

    rows = list_rows(find_checkout().root)
    if as_json:
        print(json.dumps({"models": rows}, indent=2))
        return
    for row in rows:
        use = "allowed  " if row["allowed"] else "forbidden"
        print(f"{row['name']:24}{row['title']:40}{use}  {where(row)}")


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--revision", help="Branch, tag or commit to lock instead of the entry's branch.")
def lock(names: tuple[str, ...], revision: str | None) -> None:
    """Ask the hub for revision, files, sizes and hashes of NAME and write them into materials/models.

    Example: reel models lock wan22-ti2v-5b
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.models.catalogue import choose, read_models
    from reelgraph.models.hub import Hub
    from reelgraph.models.licences import read_verdicts, require_allowed

    root = find_checkout().root
    hub, verdicts = Hub.from_environment(), read_verdicts(root)
    for model in choose(read_models(root), names):
        require_allowed(verdicts[model.name], f"model '{model.name}'")
        _lock(root, hub, model, revision)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--jobs", default=4, show_default=True, type=click.IntRange(1, 32), help="Files fetched at a time.")
@click.option("--lock", "lock_first", is_flag=True, help="Lock first what is not locked yet.")
def ingest(names: tuple[str, ...], jobs: int, lock_first: bool) -> None:
    """Fetch what the store lacks of NAME, check it against the lock, and keep it from garbage collection.

    Stopped at any point, the same command goes on where it was.

    Example: reel models ingest wan22
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.models.catalogue import choose, read_models, require_locked
    from reelgraph.models.hub import Hub
    from reelgraph.models.ingest import ingest
    from reelgraph.models.licences import read_verdicts, require_allowed
    from reelgraph.models.store import store_paths

    root = find_checkout().root
    hub, verdicts = Hub.from_environment(), read_verdicts(root)
    models = choose(read_models(root), names)
    for model in models:
        require_allowed(verdicts[model.name], f"model '{model.name}'")
        if not lock_first:
            require_locked(model)
    if lock_first:
        for model in (model for model in models if model.wheel is None and model.revision is None):
            _lock(root, hub, model)
        models = choose(read_models(root), names)
    for model in models:
        if model.wheel is not None:
            print(
                f"{model.name}: comes with its package, {model.wheel['name']} {model.wheel['version']}; builds fetch it"
            )
            continue
        outcome = ingest(model, store_paths(root, [model]), hub.fetch, jobs)
        print(f"{model.name}: {outcome.added} files added, {outcome.present} were in the store")


@command.command(name="add-local")
@click.argument("directory", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("name")
def add_local(directory: Path, name: str) -> None:
    """Take the weights of model NAME from DIRECTORY, laid out like its repository, and check them against the lock.

    Example: reel models add-local /mnt/disk/Wan2.2-TI2V-5B wan22-ti2v-5b
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.models.catalogue import choose, read_models
    from reelgraph.models.ingest import add_local
    from reelgraph.models.licences import read_verdicts, require_allowed
    from reelgraph.models.store import store_paths

    root = find_checkout().root
    models = choose(read_models(root), [name])
    if len(models) != 1 or models[0].wheel is not None:
        raise StageError(f"model '{name}': give one model whose weights come from a repository", status=2)
    require_allowed(read_verdicts(root)[models[0].name], f"model '{models[0].name}'")
    outcome = add_local(models[0], store_paths(root, models), directory)
    print(f"{models[0].name}: {outcome.added} files added, {outcome.present} were in the store")


@command.command()
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Read every locked file of NAME (of all locked models) in the store and compare its hash with the lock.

    Example: reel models verify wan22
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.models.catalogue import choose, read_models
    from reelgraph.models.ingest import verify
    from reelgraph.models.store import store_paths

    root = find_checkout().root
    models = read_models(root)
    chosen = choose(models, names) if names else [model for model in models.values() if model.revision]
    states = {}
    if not names and not chosen:
        print(
            "reel: no model is locked, so there is nothing to verify; lock one: reel models lock NAME", file=sys.stderr
        )
    for model in chosen:
        if model.wheel is not None:
            print(f"reel: {model.name}: comes in a package, whose hash is checked when it is fetched", file=sys.stderr)
            continue
        paths = store_paths(root, [model])
        states[model.name] = state = verify(model, paths)
        if not as_json:
            counts = f"{len(state.missing)} missing, {len(state.altered)} altered"
            print(f"{model.name}: {len(state.right)} files right, {counts}")
            for file in state.missing:
                print(f"  {file.path}: not in the store; run: reel models ingest {model.name}")
            for file, found in state.altered.items():
                print(f"  {file.path}: wrong bytes: its sha256 is {found}, the lock says {file.sha256}")
                print(
                    f"    run: nix-store --delete --ignore-liveness $(nix-store -q --referrers-closure {paths[file]}) "
                    f"&& reel models ingest {model.name}"
                )
    if as_json:
        rows = [
            {
                "name": name,
                "right": [file.path for file in state.right],
                "missing": [file.path for file in state.missing],
                "altered": [{"path": file.path, "sha256": found} for file, found in state.altered.items()],
            }
            for name, state in states.items()
        ]
        print(json.dumps({"models": rows}, indent=2))
    if any(state.altered for state in states.values()):
        raise SystemExit(1)
    if any(state.missing for state in states.values()):
        raise SystemExit(3)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print tiers and measurements as JSON.")
def tiers(as_json: bool) -> None:
    """Say what was measured to fit on which tier of GPU memory.

    Example: reel models tiers
    """
    from reelgraph.models.listing import tier_lines
    from reelgraph.train.estimates import table

    print(json.dumps(table(), indent=2) if as_json else "\n".join(tier_lines()))


def _lock(root: Path, hub: Hub, model: Model, revision: str | None = None) -> None:
    """Lock one model and say what changed."""
    from dataclasses import replace

    from reelgraph.models.catalogue import write_lock
    from reelgraph.models.listing import lock_change

    if model.wheel is not None:
        print(f"{model.name}: locked with its package, {model.wheel['name']} {model.wheel['version']}")
        return
    found, files, unwanted = hub.resolve(replace(model, branch=revision or model.branch))
    write_lock(root, model.name, found, files)
    print(f"{model.name}: {len(files)} files, {sum(file.size for file in files) / 1e9:.2f} GB at {found}")
    old, new = ({file.path: file.sha256 for file in some} for some in (model.files, files))
    print(lock_change(model.revision, old, found, new))
    if unwanted:
        print(f"  without a role, not locked: {', '.join(unwanted)}")
