"""reel: everything that is not a build."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from reelgraph.cli.lock import relock
from reelgraph.errors import StageError


class Sentences(click.Group):
    """A group whose commands end with one sentence and status 1 where the user can mend what is wrong."""

    def invoke(self, context: click.Context) -> object:
        """Run the chosen command."""
        try:
            return super().invoke(context)
        except StageError as error:
            print(f"reel: {error}", file=sys.stderr)
            context.exit(1)


@click.group(cls=Sentences)
def main() -> None:
    """Everything in Reelgraph that is not a build."""


@main.command()
@click.option("--system", default="x86_64-linux", show_default=True, help="The system whose lists are rewritten.")
@click.argument("project", type=click.Path(path_type=Path, exists=True, file_okay=False), default="python")
def lock(project: Path, system: str) -> None:
    """Resolve PROJECT's pyproject.toml again and say what changed in its hash-locked lists.

    Example: reel lock python
    """
    changes = relock(project, system)
    print("\n".join(changes) if changes else "nothing changed")
