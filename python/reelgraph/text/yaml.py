"""YAML (and so JSON) as people write it: what the parser would drop or guess in silence is an error here."""

from __future__ import annotations

import math
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from reelgraph.errors import StageError


class _Loader(yaml.SafeLoader):
    """Numbers, booleans and nulls as in JSON; dates and the like stay the text that they are; a key may stand once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"'{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _text(loader: _Loader, node: yaml.ScalarNode) -> str:
    # JSON escapes a rarer character as two halves, which YAML does not join.
    return loader.construct_scalar(node).encode("utf-16", "surrogatepass").decode("utf-16")


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    if not math.isfinite(number := loader.construct_yaml_float(node)):
        raise yaml.constructor.ConstructorError(None, None, f"'{node.value}' is no number", node.start_mark)
    return number


_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)


def parse_yaml(text: str, name: str) -> Any:
    """Return what a YAML text says, or raise a StageError that names the file and the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise StageError(f"{name}: is not YAML ({error.problem}{where}); mend it") from error
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise StageError(f"{name}: is not YAML ({error}); mend it") from error


def read_yaml(path: Path) -> Any:
    """Return what a YAML or JSON file says, or raise a StageError that names it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StageError(f"{path.name}: cannot be read as UTF-8 text ({error}); expected a YAML file") from error
    return parse_yaml(text, path.name)


def write_yaml(path: Path, value: Any, heading: str = "") -> None:
    """Write ``value`` as YAML in the order given, with ``heading`` as a comment above."""
    comment = "".join(f"# {line}\n" for line in heading.splitlines())
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    path.write_text(comment + text, encoding="utf-8")
