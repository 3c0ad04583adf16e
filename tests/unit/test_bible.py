"""What the bible stage promises to whoever writes a bible."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from reelgraph.errors import StageError
from reelgraph.stages.bible import STAGE, check_names
from reelgraph.text.names import canonical_names, characters_in, unknown_names

BIBLE: dict[str, Any] = {
    "series": "Big Buck Bunny",
    "characters": [
        {"name": "Big Buck Bunny", "aliases": ["Bunny"], "appearance": "A large grey rabbit."},
        {"name": "Frank", "aliases": [], "appearance": "A flying squirrel."},
    ],
    "places": [{"name": "Old Mill", "aliases": ["mill"], "appearance": "A mill of grey stone."}],
    "gadgets": [{"name": "spiky fruit", "aliases": [], "appearance": "A green ball with thorns."}],
}


def build(tmp_path: Path, bible: Any) -> Any:
    source, out = tmp_path / "series.json", tmp_path / "out"
    source.write_text(bible if isinstance(bible, str) else json.dumps(bible))
    out.mkdir()
    STAGE.execute({"bible": source}, {}, out)
    return json.loads((out / "bible.json").read_text())


def test_good_bible_comes_out_as_it_went_in(tmp_path: Path) -> None:
    assert build(tmp_path, BIBLE) == BIBLE


@pytest.mark.parametrize("kind", ["characters", "places", "gadgets"])
def test_missing_field_is_named(tmp_path: Path, kind: str) -> None:
    bible = deepcopy(BIBLE)
    del bible[kind][0]["appearance"]
    with pytest.raises(StageError, match=rf"series.json: {kind}\[0\]: 'appearance' is a required property"):
        build(tmp_path, bible)


def test_file_that_is_not_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"series\.json: is not JSON"):
        build(tmp_path, "characters: Frank")


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("characters", {"name": "Frank", "aliases": []}),
        ("characters", {"name": "Franklin", "aliases": ["FRANK"]}),
        ("characters", {"name": "Harry", "aliases": ["Harry"]}),
        ("places", {"name": "Frank", "aliases": []}),
        ("gadgets", {"name": "bunny", "aliases": []}),
    ],
)
def test_name_that_means_two_things_is_an_error_that_names_it_and_both_owners(kind: str, entry: dict[str, Any]) -> None:
    bible = deepcopy(BIBLE)
    bible[kind].append(entry)
    with pytest.raises(StageError, match=rf"'(?i:Frank|Harry|bunny)' stands for .* and for {kind} '{entry['name']}'"):
        check_names(bible)


def test_name_with_stray_blanks_is_an_error() -> None:
    bible = deepcopy(BIBLE)
    bible["characters"][1]["aliases"] = ["Frank the  Squirrel"]
    with pytest.raises(StageError, match="'Frank the  Squirrel' has blanks"):
        check_names(bible)


def test_aliases_lead_to_the_name_of_their_entry() -> None:
    names = canonical_names(BIBLE)
    assert names["Bunny"] == names["Big Buck Bunny"] == "Big Buck Bunny"
    assert names["mill"] == "Old Mill"


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("Big Buck Bunny stands by the Old Mill. Bunny's ears droop; Frank laughs.", []),
        ("Two nuts fly past. Then a third one hits the stone! Nobody moves.", []),
        ('Frank points and says "Come here" to Bunny, and I laugh.', []),
        ("Frank waves to Harry.", ["Harry"]),
        ("Behind Frank, the Big tree falls on Buck.", ["Big", "Buck"]),
        ("A rabbit called Franklin runs.", ["Franklin"]),
        ("The animals of Éire look up.", ["Éire"]),
    ],
)
def test_capitalised_words_must_be_names_of_the_bible(text: str, unknown: list[str]) -> None:
    assert unknown_names(text, BIBLE) == unknown


def test_characters_are_found_by_alias_and_only_as_whole_words() -> None:
    assert characters_in("Bunny's nose twitches in frankness", BIBLE) == {"Big Buck Bunny"}
    assert characters_in("Frank and Big Buck Bunny", BIBLE) == {"Frank", "Big Buck Bunny"}


def test_bible_without_names_knows_none() -> None:
    empty = {"series": "None", "characters": [], "places": [], "gadgets": []}
    assert characters_in("Frank runs", empty) == set()
    assert unknown_names("Then Frank runs", empty) == ["Frank"]
