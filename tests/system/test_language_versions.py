"""An episode in two languages, its copy and trailer, and another episode: from film to verdict through the stages.

Pictures, music and voices are real, titles are read off the picture, and every threshold is the licensed pipelines'.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from language_versions import CARD_FRAMES, Version, write_version
from real_nix import nixw, output_paths

from reelgraph.files import read_json
from reelgraph.stage import Stage
from reelgraph.stages import fingerprints, shots, source, texts, variants
from reelgraph.stages.excerpt import Parameters, extract_film

# Frames of the film, by its own cuts.
EPISODE = [(3744, 3919), (3919, 4069)]
OTHER = [(4612, 4726), (4726, 4900)]
TRAILER = [(3919, 4032), (4726, 4796)]
ENGLISH, FRENCH = (
    ("The Day the Rabbit", "Met the Squirrels"),
    ("Le jour où le lapin", "rencontra les écureuils"),
)
VERSIONS = {
    "english": Version(EPISODE, ENGLISH, {1: "0870", 9.5: "0880"}, (640, 360), 16),
    "copy": Version(EPISODE, ENGLISH, {1: "0870", 9.5: "0880"}, (480, 270), 30),
    "french": Version(EPISODE, FRENCH, {0.5: "0890", 7: "0920"}, (480, 270), 30),
    "other": Version(OTHER, ("The Butterfly", "and the Apple Tree"), {2: "0930"}, (640, 360), 16),
    "trailer": Version(TRAILER, (), {1: "0890"}, (640, 360), 20),
}
CARD = [175, 175 + CARD_FRAMES]
EXCERPT = "lib.specifications.smoke.episodes.big-buck-bunny-excerpt.master.parameters"


def execute(stage: Stage, inputs: dict[str, Any], parameters: dict[str, Any], out: Path) -> Path:
    out.mkdir(parents=True)
    stage.execute(inputs, parameters, out)
    return out


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """variants.json of these masters, its pairs by their names."""
    folder = tmp_path_factory.mktemp("versions")
    apply = f"lib: {{ excerpt = {EXCERPT}; inherit (lib.specifications.film) parameters; }}"
    asked = json.loads(nixw("eval", "--json", ".#lib.x86_64-linux", "--apply", apply).output)
    excerpt, parameters = Parameters(**asked["excerpt"]), asked["parameters"]
    film_archive, speech = (
        Path(output_paths([f"lib.x86_64-linux.materials.{name}"])[0]) for name in ("film", "speech")
    )
    film = extract_film(film_archive, excerpt, folder)
    # One look at each shot says as much here and costs a third.
    parameters["texts"]["looks_per_shot"] = 1
    seen: dict[str, dict[str, Path]] = {"fingerprints": {}, "texts": {}}
    for name, version in VERSIONS.items():
        own = folder / name
        own.mkdir()
        inputs = {"master": write_version(own / "master.mkv", film, speech, version, excerpt)}
        told = {**parameters["source"], "episode": name, "language": "fr" if name == "french" else "en"}
        inputs["source"] = execute(source.STAGE, inputs, told, own / "source")
        inputs["shots"] = execute(shots.STAGE, inputs, parameters["shots"], own / "shots")
        # What is written in the copy is what is written in its original.
        for stage in (fingerprints.STAGE,) if name == "copy" else (fingerprints.STAGE, texts.STAGE):
            seen[stage.name][name] = execute(stage, inputs, parameters[stage.name], own / stage.name)
    found = read_json(execute(variants.STAGE, seen, parameters["variants"], folder / "variants") / "variants.json")
    return {**found, "pairs": {(pair["first"], pair["second"]): pair for pair in found["pairs"]}}


def test_another_language_is_a_variant_a_copy_is_the_same_and_another_episode_is_neither(
    compared: dict[str, Any],
) -> None:
    verdicts = {pair: found["verdict"] for pair, found in compared["pairs"].items()}
    assert verdicts["copy", "english"] == "same"
    assert verdicts["english", "french"] == verdicts["copy", "french"] == "variant"
    for version in ("copy", "english", "french"):
        assert verdicts.get(tuple(sorted((version, "other"))), "different") == "different"


def test_titles_are_read_off_the_picture_and_say_the_language(compared: dict[str, Any]) -> None:
    episodes = compared["episodes"]
    assert (episodes["english"]["text"], episodes["french"]["text"]) == (list(ENGLISH), list(FRENCH))
    assert {name: found["text_language"] for name, found in episodes.items()} == {
        "english": "en",
        "copy": None,
        "french": "fr",
        "other": "en",
        "trailer": None,
    }


def test_a_dub_differs_in_its_title_card_and_its_sound_and_in_nothing_else(compared: dict[str, Any]) -> None:
    dub = compared["pairs"]["english", "french"]
    assert [run["first"] for run in dub["runs"] if not run["same"]] == [CARD]
    assert [run["second"] for run in dub["runs"] if not run["same"]] == [CARD]
    copy = compared["pairs"]["copy", "english"]
    assert [run["first"] for run in copy["runs"]] == [[0, 373]]
    # The music stays, the voices do not.
    assert copy["same_sound"] >= 0.9 > 0.6 > dub["same_sound"]


def test_a_trailer_is_found_as_part_of_both_episodes_that_it_shows(compared: dict[str, Any]) -> None:
    for episode, whole, part in (("english", 373, 113), ("french", 373, 113), ("other", 336, 70)):
        pair = compared["pairs"][episode, "trailer"]
        assert pair["verdict"] == "needs-a-person"
        assert pair["in_order"] == pytest.approx([part / whole, part / 183], abs=0.001)
