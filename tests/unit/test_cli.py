"""`reel` and its help: quick, a screen each, with an example, plain text, and its errors in one sentence on stderr."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from reelgraph.cli.main import main

HEAVY = ("torch", "numpy", "av", "transformers", "jsonschema", "jinja2", "huggingface_hub", "httpx", "matplotlib")
SCREEN_LINES = 40


def commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below ``command`` with the words that call it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, *path, name)
    if path:
        yield path, command


ALL = dict(commands(main))


def test_help_loads_nothing_heavy() -> None:
    code = "import sys; from reelgraph.cli.main import main; main(['--help'], standalone_mode=False); "
    code += f"print('loaded:', sorted(set({HEAVY}) & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.splitlines()[-1] == "loaded: []"


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_help_fits_a_screen(path: tuple[str, ...]) -> None:
    finished = CliRunner().invoke(main, [*path, "--help"])
    assert finished.exit_code == 0
    assert len(finished.output.splitlines()) <= SCREEN_LINES
    assert "\x1b" not in finished.output


@pytest.mark.parametrize(
    "path", [path for path, found in ALL.items() if not isinstance(found, click.Group)], ids=" ".join
)
def test_each_command_shows_an_example(path: tuple[str, ...]) -> None:
    assert f"Example: reel {' '.join(path)}" in " ".join(CliRunner().invoke(main, [*path, "--help"]).output.split())


def test_an_unknown_command_is_named_on_stderr() -> None:
    finished = CliRunner().invoke(main, ["no-such-command"])
    assert finished.exit_code == 2 and finished.stdout == "" and "no-such-command" in finished.stderr
