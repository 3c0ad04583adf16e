"""Check the bible of a series: its characters, places and gadgets are the only names that captions may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.names import KINDS


@dataclass(frozen=True)
class Inputs:
    """The bible as people write it, a JSON file."""

    bible: Path


@dataclass(frozen=True)
class Parameters:
    """None."""


def check_names(bible: Mapping[str, Any]) -> None:
    """Raise a StageError where one name or alias, in any case, means two entries or stands twice in one."""
    owners: dict[str, str] = {}
    for kind in KINDS:
        for entry in bible[kind]:
            for text in (entry["name"], *entry["aliases"]):
                owner = f"{kind} '{entry['name']}'"
                if text != " ".join(text.split()):
                    raise StageError(f"bible: {owner}: '{text}' has blanks at an end or twice in a row; remove them")
                if other := owners.get(text.casefold()):
                    raise StageError(f"bible: '{text}' stands for {other} and for {owner}; a name may stand once")
                owners[text.casefold()] = owner


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write the checked bible.json."""
    bible = read_json(inputs.bible)
    validate(bible, "bible", inputs.bible.name)
    check_names(bible)
    write_json(out / "bible.json", bible)


STAGE = Stage(name="bible", inputs=Inputs, parameters=Parameters, outputs={"bible.json": "bible"}, run=run)

if __name__ == "__main__":
    STAGE.main()
