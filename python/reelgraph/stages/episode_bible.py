"""Take the part of the bible that an episode can show, so that editing a character rebuilds its episodes only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import read_json, write_json
from reelgraph.text.bible import of_episode
from reelgraph.text.part import PartStage


@dataclass(frozen=True)
class Inputs:
    """The directory with the series' bible.json."""

    bible: Path


@dataclass(frozen=True)
class Parameters:
    """See schemas/episode-bible.parameters.json."""

    episode: str


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write the episode's bible.json."""
    write_json(out / "bible.json", of_episode(read_json(inputs.bible / "bible.json"), parameters.episode))


STAGE = PartStage(name="episode-bible", inputs=Inputs, parameters=Parameters, outputs={"bible.json": "bible"}, run=run)

if __name__ == "__main__":
    STAGE.main()
