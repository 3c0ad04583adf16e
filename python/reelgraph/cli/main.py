"""reel: everything in Reelgraph that is not a build."""

from __future__ import annotations

import errno
import importlib
import sys
from pathlib import Path
from typing import NoReturn

import click

from reelgraph.cli import Group, wrong_use
from reelgraph.errors import StageError

# What a file system says no to; another error of the system's is a mistake of ours, and shows where.
_NOT_OURS = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENAMETOOLONG,
    # A file where the user names a folder.
    errno.EEXIST,
    errno.ENOTDIR,
)


class Commands(Group):
    """The modules beside this one, each with a ``command``; loaded when called, so that ``reel --help`` stays quick."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the commands' names."""
        files = Path(__file__).parent.glob("*.py")
        return sorted(file.stem.replace("_", "-") for file in files if file.stem not in ("__init__", "main"))

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of a name, or None."""
        if name not in self.list_commands(context):
            return None
        return importlib.import_module(f"reelgraph.cli.{name.replace('-', '_')}").command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant, and what is left; click itself knows no names to offer for a wrong one."""
        names, name = self.list_commands(context), arguments[0]
        if name not in names and not name.startswith("-") and not context.resilient_parsing:
            raise click.exceptions.NoSuchCommand(name, possibilities=names, ctx=context)
        return super().resolve_command(context, arguments)

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Read the options before the command's name."""
        try:
            return super().parse_args(context, arguments)
        except click.UsageError as error:
            _end_wrong_use(context, error)

    def invoke(self, context: click.Context) -> object:
        """Run the chosen command; what the user can mend ends with one sentence and the error's exit status."""
        try:
            return super().invoke(context)
        except click.UsageError as error:
            _end_wrong_use(context, error)
        except StageError as error:
            print(f"reel: {error}", file=sys.stderr)
            context.exit(error.status)
        except KeyboardInterrupt:
            # Not the status of an answer that is no.
            print("reel: interrupted", file=sys.stderr)
            context.exit(130)
        except OSError as error:
            if error.errno not in _NOT_OURS:
                raise
            where = error.filename2 or error.filename
            print(f"reel: {f'{where}: ' if where else ''}{error.strerror}", file=sys.stderr)
            context.exit(3)


def _end_wrong_use(context: click.Context, error: click.UsageError) -> NoReturn:
    # A group that is called without a command prints its help.
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        raise error
    print(f"reel: {wrong_use(error)}", file=sys.stderr)
    context.exit(error.exit_code)


@click.command(name="reel", cls=Commands)
def main() -> None:
    """Everything in Reelgraph that is not a build.

    Example: reel plan wan22-smoke

    Exit status: 0 good, 1 the answer is no, 2 wrong usage, 3 something needed is missing, 130 interrupted.
    """
