"""Write a checkpoint's release: stamped files, statement, bill of materials, signature."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(name="provenance")
@click.argument("target")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="New folder for the release.",
)
@click.option(
    "--names/--no-names",
    default=None,
    help="Episodes' ids and titles in it or not; else materials/profile.json decides.",
)
@click.option("--sign", "key", type=click.Path(path_type=Path), help="Sign with this SSH key or minisign secret key.")
def command(target: str, output: Path, names: bool | None, key: Path | None) -> None:
    """Write what shows where TARGET's checkpoint comes from: an in-toto statement (SLSA provenance), a CycloneDX
    ML-BOM,
    and the checkpoint with the statement's hash in its metadata.

    Check it with `reel verify`.

    Example: reel provenance smoke.checkpoint -o release --sign ~/.ssh/id_ed25519
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.provenance.release import make_release

    release = make_release(find_checkout(), target, output, with_names=names, key=key)
    print("\n".join(map(str, release.files)))
    print(f"statement {release.statement}")
