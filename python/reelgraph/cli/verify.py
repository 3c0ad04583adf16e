"""Check a checkpoint against its statement and the store."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from reelgraph.cli import STORE


@click.command(name="verify")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--statement", type=click.Path(path_type=Path), help="The statement, if not provenance.intoto.json beside FILE."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Signer's SSH or minisign public key, or allowed signers.",
)
@STORE
@click.option("--json", "as_json", is_flag=True, help="Print the checks as JSON (schemas/reel-verify.json).")
def command(file: Path, statement: Path | None, key: Path | None, store: Path, as_json: bool) -> None:
    """Check checkpoint FILE: is it the statement's, is nothing missing in the statement, is the store of the same
    opinion.

    Needs neither a checkout nor the network. Exit status 1 if an answer is bad.

    Example: reel verify release/lora.safetensors --key signer.pub
    """
    from reelgraph.graph.store import Store
    from reelgraph.provenance.verify import BAD, verify

    checks = verify(file, statement, key, Store(store))
    bad = [check for check in checks if check.outcome == BAD]
    if as_json:
        print(json.dumps({"file": file.name, "good": not bad, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        print("\n".join(f"{check.outcome:4}  {check.name:9}  {check.sentence}" for check in checks))
    raise SystemExit(1 if bad else 0)
