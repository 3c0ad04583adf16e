"""The licensed pipelines as evaluated: there only with a manifest, one chain a master, no variant by accident."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from evaluation import EvaluationError, evaluate
from made_manifest import MANIFEST, STAGES, episode, lock_models, put_bible, put_manifest

from reelgraph.stage import validate


@pytest.fixture
def licensed(checkout: Path, made_up_work: dict[str, Any]) -> Callable[..., Path]:
    """Return a function that puts a manifest of some episodes into a checkout."""

    def put(*episodes: dict[str, Any], smoke: tuple[str, ...] = ()) -> Path:
        return put_manifest(checkout, made_up_work, episodes, smoke)

    return put


CLIPS = "builtins.mapAttrs (_: chain: chain.clips.drvPath)"


def test_without_a_manifest_there_is_no_licensed_pipeline(checkout: Path) -> None:
    (checkout / MANIFEST).unlink(missing_ok=True)
    assert evaluate(checkout, "legacyPackages.x86_64-linux", "x: x ? iiw || x ? iiw-english-smoke-video-only") is False


def test_the_subset_shares_its_episodes_with_the_whole_set(licensed: Callable[..., Path]) -> None:
    checkout = licensed(episode(101), episode(102), episode(103), smoke=("iiw-102",))
    whole = evaluate(checkout, "iiw.episodes", CLIPS)
    assert list(whole) == ["iiw-101", "iiw-102", "iiw-103"]
    subset = evaluate(checkout, "iiw-english-smoke-video-only.episodes", CLIPS)
    assert subset == {"iiw-102": whole["iiw-102"]}


def test_another_master_changes_its_own_episode_and_no_other(licensed: Callable[..., Path]) -> None:
    episodes = [episode(number) for number in range(101, 121)]
    before = evaluate(licensed(*episodes), "iiw.episodes", CLIPS)
    episodes[4]["sha256"] = "0" * 64
    after = evaluate(licensed(*episodes), "iiw.episodes", CLIPS)
    assert [name for name in before if before[name] != after[name]] == ["iiw-105"]


def changed(before: dict[str, str], after: dict[str, str]) -> dict[str, set[str]]:
    """Return the stages whose derivations differ, by what they are about."""
    assert before.keys() == after.keys()
    found: dict[str, set[str]] = {}
    for name in before:
        if before[name] != after[name]:
            about, _, stage = name.rpartition("/")
            found.setdefault(about, set()).add(stage)
    return found


def test_another_master_rebuilds_its_chain_and_what_joins_it_and_nothing_else(licensed: Callable[..., Path]) -> None:
    episodes = [*(episode(number) for number in range(101, 113)), episode(103, "fr")]
    checkout = licensed(*episodes)
    lock_models(checkout)
    put_bible(checkout)
    before = evaluate(checkout, "iiw", STAGES)
    stages: dict[str, set[str]] = {}
    for name in before:
        stages.setdefault(name.rpartition("/")[0], set()).add(name.rpartition("/")[2])

    episodes[4]["sha256"] = "0" * 64
    found = changed(before, evaluate(licensed(*episodes), "iiw", STAGES))
    # All of its chain but what is cut out of the bible, and all that is made of every episode but the bible itself.
    own, joined = found.pop("iiw-105"), found.pop("iiw")
    assert own == stages["iiw-105"] - {"episode-bible", "episode-names"}
    assert joined == stages["iiw"] - {"bible"}
    assert {"clips", "caption", "reviewed", "wan22-latents", "texts", "fingerprints", "contact-sheet"} <= own
    assert {"variants", "wan22-package", "wan22-plan", "checkpoint", "samples", "report", "bundle"} <= joined
    segments = [about for about in stages if about.startswith("iiw-segment-")]
    assert found == {about: stages[about] for about in segments} and segments

    # One that is compared and not trained on: of all that joins, the comparison alone.
    episodes[4]["sha256"], episodes[-1]["sha256"] = episode(105)["sha256"], "0" * 64
    found = changed(before, evaluate(licensed(*episodes), "iiw", STAGES))
    assert found == {"iiw-103-fr": {"source", "shot-votes", "shots", "texts", "fingerprints"}, "iiw": {"variants"}}


def test_a_variant_is_trained_on_only_with_a_verdict(licensed: Callable[..., Path]) -> None:
    french = episode(101, "fr")
    assert list(evaluate(licensed(episode(101), french), "iiw.episodes", CLIPS)) == ["iiw-101"]
    french["by_hand"] = {"train": True}
    with pytest.raises(EvaluationError) as told:
        evaluate(licensed(episode(101), french), "iiw.episodes", CLIPS)
    assert "episode 'iiw-101-fr' is another version of 'iiw-101' (production 101)" in str(told.value)
    assert "run the variants stage" in str(told.value)
    french["by_hand"]["verdict"] = {"verdict": "variant", "differs_meaningfully": False, "evidence": "e"}
    with pytest.raises(EvaluationError):
        evaluate(licensed(episode(101), french), "iiw.episodes", CLIPS)
    french["by_hand"]["verdict"]["differs_meaningfully"] = True
    assert list(evaluate(licensed(episode(101), french), "iiw.episodes", CLIPS)) == ["iiw-101", "iiw-101-fr"]


def test_no_cache_is_asked_for_licensed_masters_or_what_is_cut_from_them(licensed: Callable[..., Path]) -> None:
    checkout = licensed(episode(101))
    asked = (
        "x: builtins.mapAttrs (_: stage: stage.drvAttrs.allowSubstitutes) { inherit (x) master source shots clips; }"
    )
    assert evaluate(checkout, "iiw.episodes.iiw-101", asked) == dict.fromkeys(
        ("clips", "master", "shots", "source"), False
    )


def test_titles_and_file_names_are_in_no_store_path_of_a_master(licensed: Callable[..., Path]) -> None:
    secret = episode(101, title="The Secret Ending")
    secret["file"] = "IIW_101_The Secret Ending_EN.mov"
    assert "Secret" not in evaluate(licensed(secret), "iiw.episodes.iiw-101.master", "x: x.outPath")


@pytest.mark.parametrize("pipeline", ["iiw", "iiw-english-smoke-video-only"])
def test_the_whole_chain_evaluates_with_parameters_that_its_stages_take(
    licensed: Callable[..., Path], pipeline: str
) -> None:
    checkout = licensed(episode(101), episode(102, bible_episode="7"), episode(101, "fr"), smoke=("iiw-102",))
    lock_models(checkout)
    put_bible(checkout)
    whole = evaluate(
        checkout, pipeline, "p: { graph = p.graph; ends = map (x: x.drvPath) [ p.bundle p.variants p.dataset.wan22 ]; }"
    )
    assert len(whole["ends"]) == 3
    stages = {name.rpartition("/")[2] for name in whole["graph"]}
    assert {"clips", "caption", "reviewed", "transcript-disambiguate", "wan22-train", "samples", "report"} <= stages
    for name, stage in whole["graph"].items():
        validate(stage["parameters"], f"{name.rpartition('/')[2]}.parameters", name)
    # The old bible counts its own episodes.
    assert whole["graph"]["iiw-102/episode-bible"]["parameters"] == {"episode": "7"}
    # What reaches the checkpoint says whose it is, and none of it is the sample film's.
    assert whole["graph"][f"{pipeline}/checkpoint"]["parameters"]["licence"] == "public-domain"
    assert "Bunny" not in json.dumps(whole["graph"])


def test_what_a_person_wrote_for_an_episode_reaches_its_stages_alone(licensed: Callable[..., Path]) -> None:
    checkout = licensed(episode(101), episode(102))
    edges = (
        "e: builtins.mapAttrs (_: chain: "
        "{ inherit (chain.clips.edges) overrides; inherit (chain.bootstrap.edges) labels; }) e"
    )
    assert evaluate(checkout, "iiw.episodes", edges)["iiw-101"] == {"overrides": None, "labels": None}
    for what in ("cuts/iiw-101.json", "labels/iiw-101.yaml"):
        place = checkout / "materials/training-data" / what
        place.parent.mkdir(exist_ok=True)
        place.write_text("{}")
    assert evaluate(checkout, "iiw.episodes", edges) == {
        "iiw-101": {"overrides": "iiw-101.json", "labels": "iiw-101.yaml"},
        "iiw-102": {"overrides": None, "labels": None},
    }


def test_captions_of_the_old_bible_reach_the_episode_that_the_manifest_maps_to_it(
    licensed: Callable[..., Path],
) -> None:
    checkout = licensed(episode(101, bible_episode="7"), episode(102))
    labels = checkout / "materials/training-data/labels"
    labels.mkdir(exist_ok=True)
    (labels / "7.yaml").write_text("{}")
    edges = "builtins.mapAttrs (_: chain: chain.bootstrap.edges.labels)"
    assert evaluate(checkout, "iiw.episodes", edges) == {"iiw-101": "7.yaml", "iiw-102": None}
    (labels / "iiw-101.yaml").write_text("{}")
    assert evaluate(checkout, "iiw.episodes", edges) == {"iiw-101": "iiw-101.yaml", "iiw-102": None}


def test_bible_may_be_a_folder(licensed: Callable[..., Path]) -> None:
    checkout = licensed(episode(101))
    (checkout / "materials/training-data/bible").mkdir()
    (checkout / "materials/training-data/bible/characters.yaml").write_text("{}")
    assert evaluate(checkout, "iiw.bible.edges") == {"bible": "bible"}


def test_masters_that_are_not_trained_on_are_compared_too(licensed: Callable[..., Path]) -> None:
    checkout = licensed(episode(101), episode(101, "fr"))
    assert list(evaluate(checkout, "iiw.variants.edges.fingerprints")) == ["iiw-101", "iiw-101-fr"]
    assert list(evaluate(checkout, "iiw.episodes", CLIPS)) == ["iiw-101"]


def test_what_is_missing_beside_the_manifest_is_named(licensed: Callable[..., Path]) -> None:
    checkout = licensed(episode(101))
    with pytest.raises(EvaluationError, match=r"materials/training-data/bible\.yaml is not there, nor a folder"):
        evaluate(checkout, "iiw.bible.drvPath")
    (checkout / "materials/licences/works/iiw.json").unlink()
    with pytest.raises(EvaluationError, match="work 'iiw' is in neither materials/licences/works"):
        evaluate(checkout, "iiw.episodes.iiw-101.clips.drvPath")


def test_ltx2_on_the_licensed_masters_has_clips_with_sound_and_is_refused_at_its_weights(
    licensed: Callable[..., Path],
) -> None:
    checkout = licensed(episode(101), episode(102))
    lock_models(checkout)
    put_bible(checkout)
    assert evaluate(checkout, "iiw-ltx2.episodes", CLIPS) == evaluate(checkout, "iiw.episodes", CLIPS)
    sound = evaluate(checkout, "iiw-ltx2.episodes", "builtins.mapAttrs (_: chain: chain.clip-sound.kind)")
    assert sound == {"iiw-101": "clip-sound", "iiw-102": "clip-sound"}
    with pytest.raises(EvaluationError, match="free only below 10000000 USD of yearly revenue"):
        evaluate(checkout, "iiw-ltx2.checkpoint.drvPath")
