"""What the bible stage promises to whoever writes a bible."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from reelgraph.errors import StageError
from reelgraph.stages import bible as bible_stage
from reelgraph.stages import episode_bible, episode_names
from reelgraph.text.bible import check_bible, complete, of_episode, only_names
from reelgraph.text.names import canonical_names, characters_in, unknown_names
from reelgraph.text.yaml import parse_yaml

BIBLE: dict[str, Any] = {
    "series": "Big Buck Bunny",
    "source": "A wiki's export of 2026-01-01.",
    "characters": [
        {
            "name": "Big Buck Bunny",
            "aliases": ["Bunny"],
            "appearance": "A large grey rabbit.",
            "outfits": [],
            "episodes": [],
        },
    ],
    "villains": [
        {
            "name": "Frank",
            "aliases": [],
            "appearance": "A flying squirrel.",
            "outfits": ["a red cape"],
            "episodes": ["e2"],
        },
    ],
    "places": [{"name": "Old Mill", "aliases": ["mill"], "appearance": "A mill of grey stone.", "episodes": []}],
    "gadgets": [{"name": "spiky fruit", "aliases": [], "appearance": "A green ball with thorns.", "episodes": []}],
    "episodes": [
        {"id": "e1", "title": "Morning", "synopsis": "Big Buck Bunny wakes."},
        {"id": "e2", "title": "Noon", "synopsis": "Frank throws nuts."},
    ],
}


def build(tmp_path: Path, bible: Any) -> Any:
    source, out = tmp_path / "series.yaml", tmp_path / "out"
    source.write_text(bible if isinstance(bible, str) else json.dumps(bible))
    out.mkdir()
    bible_stage.STAGE.execute({"bible": source}, {}, out)
    return json.loads((out / "bible.json").read_text())


def build_folder(tmp_path: Path, **files: str) -> Any:
    (tmp_path / "bible").mkdir()
    for name, text in files.items():
        (tmp_path / "bible" / f"{name}.yaml").write_text(text)
    (tmp_path / "out").mkdir()
    bible_stage.STAGE.execute({"bible": tmp_path / "bible"}, {}, tmp_path / "out")
    return json.loads((tmp_path / "out" / "bible.json").read_text())


def test_good_bible_comes_out_as_it_went_in(tmp_path: Path) -> None:
    assert build(tmp_path, BIBLE) == BIBLE


def test_what_may_be_left_out_is_filled_in(tmp_path: Path) -> None:
    bible = build(tmp_path, "series: S\nsource: us\ncharacters:\n- name: Frank\n  appearance: A squirrel.\nplaces:\n")
    assert bible["characters"] == [
        {"name": "Frank", "aliases": [], "appearance": "A squirrel.", "outfits": [], "episodes": []}
    ]
    assert [bible[kind] for kind in ("villains", "places", "gadgets", "episodes")] == [[]] * 4


def test_files_of_a_folder_are_one_bible(tmp_path: Path) -> None:
    bible = build_folder(
        tmp_path,
        a_series="series: S\nsource: us\ncharacters: [{name: Frank, appearance: A squirrel.}]\n",
        b_more="characters: [{name: Rinky, appearance: Thin.}]\nepisodes: [{id: e1, title: T, synopsis: It rains.}]\n",
    )
    assert [entry["name"] for entry in bible["characters"]] == ["Frank", "Rinky"]
    assert [entry["id"] for entry in bible["episodes"]] == ["e1"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"bible: holds no \.yaml file"),
        ({"a": "series: S\n", "b": "series: T\n"}, r"b\.yaml: 'series' is 'T', but another file of the bible says 'S'"),
        ({"a": "- Frank\n"}, r"a\.yaml: expected a mapping .*, found a list"),
        ({"a": ""}, r"a\.yaml: expected a mapping .*, found nothing"),
        (
            {
                "a": "characters: [{name: Frank, appearance: A.}]",
                "b": "places: [{name: frank, appearance: B.}]\nseries: S\nsource: us",
            },
            r"'frank' stands for characters 'Frank' and for places 'frank'",
        ),
    ],
)
def test_folder_that_is_no_bible_is_named(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        build_folder(tmp_path, **files)


@pytest.mark.parametrize("kind", ["characters", "villains", "places", "gadgets"])
def test_missing_field_is_named(tmp_path: Path, kind: str) -> None:
    bible = deepcopy(BIBLE)
    del bible[kind][0]["appearance"]
    with pytest.raises(StageError, match=rf"series.yaml: {kind}\[0\]: 'appearance' is a required property"):
        build(tmp_path, bible)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("characters: [Frank", r"series\.yaml: is not YAML \(.* in line 1\)"),
        ("series: S\nseries: T\n", r"series\.yaml: is not YAML \('series' stands twice in line 2\)"),
        ("series: S\nsource: .nan\n", r"series\.yaml: is not YAML \('\.nan' is no number in line 2\)"),
        ("- Frank\n", r"series\.yaml: .*is not of type 'object'"),
        ("series: S\nsource: us\ncharacters: Frank\n", r"series\.yaml: characters: 'Frank' is not of type 'array'"),
        ("series: S\nsource: us\nheroes: []\n", r"series\.yaml: .*'heroes' was unexpected"),
    ],
)
def test_file_that_is_no_bible_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(StageError, match=sentence):
        build(tmp_path, text)


def test_character_that_json_escapes_as_two_halves_is_one() -> None:
    assert parse_yaml('name: "Kit \\ud83d\\ude00"', "bible.json") == {"name": "Kit \U0001f600"}
    with pytest.raises(StageError, match=r"bible\.json: is not YAML"):
        parse_yaml('name: "Kit \\ud83d"', "bible.json")


def test_episode_that_the_bible_does_not_list_is_named() -> None:
    bible = deepcopy(BIBLE)
    bible["villains"][0]["episodes"] = ["e9"]
    with pytest.raises(
        StageError, match=r"villains 'Frank' is in episode 'e9', which is not among its episodes \(e1, e2\)"
    ):
        check_bible(bible)


def test_episode_listed_twice_is_named() -> None:
    with pytest.raises(StageError, match="episode 'e1' stands twice"):
        check_bible({**BIBLE, "episodes": [BIBLE["episodes"][0]] * 2})


def test_episode_s_part_changes_only_with_what_the_episode_can_show() -> None:
    edited = deepcopy(BIBLE)
    edited["villains"][0]["appearance"] = "A flying squirrel with blue eyes."
    edited["episodes"][1]["synopsis"] = "Frank throws apples."
    assert of_episode(edited, "e1") == of_episode(BIBLE, "e1")
    assert of_episode(edited, "e2") != of_episode(BIBLE, "e2")
    assert [entry["name"] for entry in of_episode(BIBLE, "e2")["villains"]] == ["Frank"]
    assert of_episode(BIBLE, "e1")["villains"] == []


def test_names_change_only_with_names() -> None:
    edited = deepcopy(BIBLE)
    edited["characters"][0]["appearance"] = "A huge rabbit."
    assert only_names(edited) == only_names(BIBLE)
    edited["characters"][0]["aliases"] = ["Buck"]
    assert only_names(edited) != only_names(BIBLE)


def test_part_of_an_episode_has_the_same_bytes_whatever_else_the_bible_says(tmp_path: Path) -> None:
    other = deepcopy(BIBLE)
    other["villains"][0]["appearance"] = "A flying squirrel with blue eyes."
    made = []
    for number, bible in enumerate((BIBLE, other)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "bible.json").write_text(json.dumps(bible))
        out = tmp_path / f"out-{number}"
        out.mkdir()
        episode_bible.STAGE.execute({"bible": tmp_path / str(number)}, {"episode": "e1"}, out)
        made.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert made[0] == made[1]


def test_stages_write_the_episode_s_part_and_its_names(tmp_path: Path) -> None:
    (tmp_path / "bible").mkdir()
    (tmp_path / "bible" / "bible.json").write_text(json.dumps(BIBLE))
    for stage, file in ((episode_bible.STAGE, "bible.json"), (episode_names.STAGE, "names.json")):
        out = tmp_path / stage.name
        out.mkdir()
        stage.execute({"bible": tmp_path / "bible"}, {"episode": "e2"}, out)
        assert [entry["name"] for entry in json.loads((out / file).read_text())["villains"]] == ["Frank"]


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("characters", {"name": "Frank", "aliases": []}),
        ("characters", {"name": "Franklin", "aliases": ["FRANK"]}),
        ("characters", {"name": "Harry", "aliases": ["Harry"]}),
        ("places", {"name": "Frank", "aliases": []}),
        ("gadgets", {"name": "bunny", "aliases": []}),
        ("characters", {"name": "Ren\u00e9", "aliases": ["Rene\u0301"]}),
        ("characters", {"name": "Jean-Luc's", "aliases": ["Jean\u2010Luc\u2019s"]}),
    ],
)
def test_name_that_means_two_things_is_an_error_that_names_it_and_both_owners(kind: str, entry: dict[str, Any]) -> None:
    bible = deepcopy(BIBLE)
    bible[kind].append(entry)
    with pytest.raises(
        StageError, match=rf"'(?i:Frank|Harry|bunny|Rene\u0301|Jean.Luc.s)' stands for .*'{entry['name']}'"
    ):
        check_bible(complete(bible))


def test_name_with_stray_blanks_is_an_error() -> None:
    bible = deepcopy(BIBLE)
    bible["villains"][0]["aliases"] = ["Frank the  Squirrel"]
    with pytest.raises(StageError, match="'Frank the  Squirrel' has blanks"):
        check_bible(complete(bible))


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
        ("Harry waits. Frank sees him.", ["Harry"]),
        ("Frank waits. Harry's ears droop.", ["Harry's"]),
        ("Emily waits. Fred's ears droop. Sterling runs.", ["Emily", "Fred's", "Sterling"]),
        ("Lily waits. Reed's ears droop. Spring comes, seen by Frank.", ["Lily", "Reed's"]),
        ("Grey stones lie about. Sitting on one, Frank grins. Medium-wide shot. Thorns fly.", []),
    ],
)
def test_capitalised_words_must_be_names_of_the_bible(text: str, unknown: list[str]) -> None:
    assert unknown_names(text, BIBLE) == unknown


def test_characters_are_found_by_alias_and_only_as_whole_words() -> None:
    assert characters_in("Bunny's nose twitches in frankness", BIBLE) == {"Big Buck Bunny"}
    assert characters_in("Frank and Big Buck Bunny", BIBLE) == {"Frank", "Big Buck Bunny"}


def test_bible_without_names_knows_none() -> None:
    empty = {"series": "None", "characters": [], "villains": [], "places": [], "gadgets": []}
    assert characters_in("Frank runs", empty) == set()
    assert unknown_names("Then Frank runs", empty) == ["Frank"]
