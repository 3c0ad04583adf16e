"""Check the bible of a series: its characters, villains, places and gadgets are the only names that captions may use.

It is written in YAML, in one file or in all files of a folder; what may be left out (aliases, outfits, episodes) is
filled in here, so that later stages need not ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.files import write_json
from reelgraph.stage import Stage, validate
from reelgraph.text.bible import check_bible, complete, read_bible


@dataclass(frozen=True)
class Inputs:
    """The bible as people write it: a YAML or JSON file, or a folder of them."""

    bible: Path


@dataclass(frozen=True)
class Parameters:
    """None."""


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write the checked bible.json."""
    bible: Mapping[str, Any] = complete(read_bible(inputs.bible))
    validate(bible, "bible", inputs.bible.name)
    check_bible(bible)
    write_json(out / "bible.json", bible)


STAGE = Stage(name="bible", inputs=Inputs, parameters=Parameters, outputs={"bible.json": "bible"}, run=run)

if __name__ == "__main__":
    STAGE.main()
