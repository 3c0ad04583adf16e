"""reel: everything that is not a build. A module a command; each calls plain functions that live elsewhere."""

from __future__ import annotations

import re
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


def wrong_use(error: click.UsageError) -> str:
    """Return what click says of a command's wrong use as one sentence, with where its help is."""
    said = " ".join(error.format_message().split()).rstrip(".")
    said = re.sub(r"is not a valid integer( range)?", "is no whole number", said)
    said = re.sub(r"is not a valid float( range)?", "is no number", said)
    return f"{said[0].lower()}{said[1:]} (see: {error.ctx.command_path if error.ctx else 'reel'} --help)"
