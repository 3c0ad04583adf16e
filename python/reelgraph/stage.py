"""The stage runner: checks what a stage is given and what it made, and hands over a whole output or none.

A stage is a function from (input paths, parameters) to one output directory and nothing else. The same script runs
inside a derivation (``--derivation``: everything comes from Nix's structured attributes) and by hand.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click

from reelgraph.determinism import restart_in_fixed_environment, stop_clock
from reelgraph.errors import StageError
from reelgraph.files import content_hash, read_json, tree_files, write_json
from reelgraph.progress import Progress

SCHEMAS = Path(__file__).parent / "schemas"


@dataclass(frozen=True)
class Stage:
    """What the runner must know of a stage.

    ``inputs`` is a dataclass whose fields are ``Path`` (one input), ``Path | None`` (one that may be left out) or
    ``dict[str, Path]`` (one an episode); ``parameters`` is a dataclass whose fields are the properties of
    ``schemas/<name>.parameters.json``; ``outputs`` maps a file of the output to the schema that it must satisfy.
    """

    name: str
    inputs: type
    parameters: type
    outputs: Mapping[str, str]
    run: Callable[[Any, Any, Path], None]

    def main(self) -> None:
        """Run as a command; see ``--help``."""
        restart_in_fixed_environment()
        stop_clock()
        command = click.command(name=self.name, help=sys.modules[self.run.__module__].__doc__)(self._command)
        for option in (
            click.option(
                "--derivation", is_flag=True, help="Take everything from Nix's .attrs.json in this directory."
            ),
            click.option("--output", type=click.Path(path_type=Path), help="Directory to make; must not exist."),
            click.option("--parameters", type=click.Path(path_type=Path), help="JSON file of parameters."),
            click.option(
                "--input", "inputs", multiple=True, metavar="NAME=PATH", help="NAME.EPISODE=PATH for one an episode."
            ),
        ):
            command = option(command)
        command(standalone_mode=True)

    def _command(self, inputs: tuple[str, ...], parameters: Path | None, output: Path | None, derivation: bool) -> None:
        try:
            if derivation:
                self._run_in_derivation()
            elif output is None:
                raise click.UsageError("give --output DIRECTORY, or --derivation inside a Nix build")
            else:
                self._run_by_hand(inputs, parameters, output)
        except StageError as error:
            print(f"reelgraph: {Progress.about}{self.name}: {error}", file=sys.stderr, flush=True)
            raise SystemExit(error.status) from error

    def _run_in_derivation(self) -> None:
        # Nix 2.8's NIX_ATTRS_JSON_FILE names a path outside the sandbox; this one is right in every version.
        attributes = read_json(Path(os.environ["NIX_BUILD_TOP"]) / ".attrs.json")
        output = Path(attributes["outputs"]["out"])
        output.mkdir(parents=True)
        Progress.about = f"{attributes['name'].removeprefix('reel-').removesuffix(f'-{self.name}')}/"
        self.execute(attributes["inputs"], attributes["parameters"], output)

    def _run_by_hand(self, inputs: tuple[str, ...], parameters: Path | None, output: Path) -> None:
        if output.exists():
            raise StageError(f"{output}: exists already; name a new directory, nothing is overwritten")
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
        try:
            self.execute(_parse_inputs(inputs), read_json(parameters) if parameters else {}, partial)
            partial.chmod(0o755)
            partial.rename(output)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def execute(self, inputs: Mapping[str, Any], parameters: Mapping[str, Any], output: Path) -> None:
        """Check, run, check, and write stage.json into the existing directory ``output``."""
        start = time.monotonic()
        parameters = canonical_numbers(parameters)
        validate(parameters, f"{self.name}.parameters", "parameters")
        bound_inputs = self._bind_inputs(inputs)
        self.run(bound_inputs, self.parameters(**parameters), output)
        for file, schema in self.outputs.items():
            validate(read_json(output / file), schema, file)
        write_json(
            output / "stage.json",
            {
                "stage": self.name,
                "parameters": dict(parameters),
                "inputs": {
                    field.name: _hashes(getattr(bound_inputs, field.name)) for field in dataclasses.fields(bound_inputs)
                },
                "files": tree_files(output),
            },
        )
        validate(read_json(output / "stage.json"), "stage", "stage.json")
        print(f"{Progress.about}{self.name}: done in {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)

    def _bind_inputs(self, inputs: Mapping[str, Any]) -> Any:
        hints = get_type_hints(self.inputs)
        if unknown := sorted(set(inputs) - set(hints)):
            raise StageError(f"input '{unknown[0]}' is unknown; this stage takes {', '.join(sorted(hints))}")
        bound: dict[str, Any] = {}
        for name, hint in hints.items():
            optional = type(None) in get_args(hint)
            value = inputs.get(name)
            if value is None and not optional:
                raise StageError(f"input '{name}' is missing; give it as --input {name}=PATH")
            many = getattr(hint, "__origin__", None) is dict
            if value is not None and many != isinstance(value, Mapping):
                raise StageError(f"input '{name}' must be {'one path an episode' if many else 'one path'}")
            bound[name] = {key: Path(path) for key, path in sorted(value.items())} if many else value and Path(value)
        missing = [
            str(path)
            for value in bound.values()
            for path in (value.values() if isinstance(value, dict) else [value])
            if path and not path.exists()
        ]
        if missing:
            raise StageError(f"{missing[0]}: no such file or directory; build or fetch it first")
        return self.inputs(**bound)


def canonical_numbers(value: Any) -> Any:
    """Return ``value`` with 3.0 as 3 throughout: Nix 2.8 passes the one, newer versions the other."""
    if isinstance(value, Mapping):
        return {key: canonical_numbers(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [canonical_numbers(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def validate(value: Any, schema: str, what: str) -> None:
    """Check ``value`` against ``schemas/<schema>.json``; raise a StageError that names field and expectation."""
    # Slow to load, and commands that only print their help never come here.
    import jsonschema

    document = json.loads((SCHEMAS / f"{schema}.json").read_text(encoding="utf-8"))
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(document).iter_errors(value))
    if error is not None:
        field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(
            "."
        )
        raise StageError(f"{what}{': ' + field if field else ''}: {error.message} (schema {schema}.json)")


def _parse_inputs(pairs: tuple[str, ...]) -> dict[str, Any]:
    inputs: dict[str, Any] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        if not equals:
            raise StageError(f"--input {pair}: expected NAME=PATH")
        name, dot, episode = name.partition(".")
        if dot:
            inputs.setdefault(name, {})[episode] = path
        else:
            inputs[name] = path
    return inputs


def _hashes(value: Path | dict[str, Path] | None) -> Any:
    if value is None:
        return None
    return {key: content_hash(path) for key, path in value.items()} if isinstance(value, dict) else content_hash(value)
