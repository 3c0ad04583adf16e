"""Build a target's stages a second time and compare."""

from __future__ import annotations

import json
from pathlib import Path

import click

from reelgraph.errors import StageError


@click.command(name="audit")
@click.argument("target")
@click.option("--since", metavar="REV", help="Only stages that differ from those at a git revision.")
@click.option(
    "--unvaried",
    is_flag=True,
    help="The very same derivations, in the very same circumstances.",
)
@click.option("--without-cpu-pins", is_flag=True, help="Let libraries use all that this processor can.")
@click.option("--nix", type=click.Path(path_type=Path, exists=True), help="Folder of another Nix for the second build.")
@click.option("--builder", metavar="URI", help="Build the second time in this store (ssh-ng://…).")
@click.option("--jobs", type=click.IntRange(1), help="Stages at a time; else as memory allows.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Folder for audit.html and audit.json."
)
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), help="Folder of the clean store.")
@click.option("--keep", is_flag=True, help="Leave the clean store there.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON (schemas/reel-audit.json).")
def command(
    target: str,
    since: str | None,
    unvaried: bool,
    without_cpu_pins: bool,
    nix: Path | None,
    builder: str | None,
    jobs: int | None,
    output: Path | None,
    work: Path | None,
    keep: bool,
    as_json: bool,
) -> None:
    """Build every stage of TARGET a second time in a clean store and compare; exit status 1 if any differs.

    The second time host name, directory order, memory layout, threads and number of processors are others. What
    differs is explained. An interrupted audit goes on when called again.

    Example: reel audit wan22-smoke -o audit
    """
    from reelgraph.audit.audit import Options, audit_json, run_audit
    from reelgraph.audit.rebuild import Circumstances
    from reelgraph.audit.report import audit_html, audit_lines
    from reelgraph.graph.evaluate import find_checkout

    if nix is not None and not (nix / "nix").is_file():
        raise StageError(f"--nix {nix}: holds no program 'nix'; name the folder that does", status=2)
    options = Options(
        circumstances=Circumstances(varied=not unvaried, cpu_pins=not without_cpu_pins),
        nix_folder=nix and nix.resolve(),
        builder=builder,
        since=since,
        jobs=jobs,
        work=work and work.resolve(),
        keep=keep,
    )
    checkout = find_checkout()
    if output:
        # Before the work, so that it is not lost where the folder cannot be made.
        output.mkdir(parents=True, exist_ok=True)
    audit = run_audit(checkout, target, options)
    if output:
        (output / "audit.html").write_text(audit_html(audit), encoding="utf-8")
        (output / "audit.json").write_text(json.dumps(audit_json(audit), indent=2) + "\n", encoding="utf-8")
    print(json.dumps(audit_json(audit), indent=2) if as_json else "\n".join(audit_lines(audit)))
    raise SystemExit(0 if audit.is_good else 1)
