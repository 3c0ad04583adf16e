"""reel: everything that is not a build. A module a command; each calls plain functions that live elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

STORE = click.option(
    "--store",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("/"),
    help="Look into the store below this directory.",
)


class Group(click.Group):
    """A command of several, whose help lists them and leaves the one option --help unsaid, to fit on a screen."""

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, and options only where there are others than --help."""
        if len(self.get_params(context)) > 1:
            super().format_options(context, formatter)
        else:
            self.format_commands(context, formatter)
