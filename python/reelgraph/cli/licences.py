"""Say what a target may use, and what a release of it must say."""

from __future__ import annotations

import json

import click

from reelgraph.errors import StageError


@click.command(name="licences")
@click.argument("target", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
@click.option("--document", "as_document", is_flag=True, help="Write docs/research/model-licensing.md anew.")
@click.option("--check", is_flag=True, help="With --document: write nothing, and fail if the page is not current.")
def command(target: str | None, as_json: bool, as_document: bool, check: bool) -> None:
    """Say of every model, film, voice and font that TARGET reaches whether we may use it, and what a release must say.

    Without TARGET: of all that materials/models and materials/licences know. Who we are stands in
    materials/profile.json. Exit status 1 if TARGET reaches something that we may not use.

    Example: reel licences wan22-smoke
    """
    from reelgraph.graph.evaluate import find_checkout
    from reelgraph.models.licences import DOCUMENT, reached_works, read_verdicts, release_text, table, write_document

    if check and not as_document:
        raise StageError("--check goes with --document", status=2)
    if target and as_document:
        raise StageError(f"--document is of all works; leave out {target}", status=2)
    checkout = find_checkout()
    if as_document:
        path, text = checkout.root / DOCUMENT, write_document(checkout.root)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            raise StageError(f"{DOCUMENT} is not current; run: reel licences --document")
        print(f"{DOCUMENT} is current")
        return
    verdicts = read_verdicts(checkout.root)
    names = reached_works(checkout, target) if target else sorted(verdicts)
    chosen = [verdicts[name] for name in names]
    if as_json:
        rows = [
            {
                "name": verdict.name,
                "kind": verdict.kind,
                "licence": verdict.licence,
                "allowed": verdict.allowed,
                "because": verdict.because,
                "lifted_by": verdict.lifted_by,
                "attribution": verdict.attribution,
                "notice": verdict.notice,
            }
            for verdict in chosen
        ]
        print(json.dumps({"models": rows}, indent=2, ensure_ascii=False))
    else:
        print(table(chosen) if chosen else f"{target} reaches no model, film, voice or font")
        if target and chosen:
            print(f"\nA release must carry:\n\n{release_text(chosen)}")
    if target and not all(verdict.allowed for verdict in chosen):
        raise SystemExit(1)
