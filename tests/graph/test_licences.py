"""A target that reaches what we may not use does not evaluate; the others do, and no hash depends on it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reelgraph.errors import StageError
from reelgraph.graph.evaluate import Checkout
from reelgraph.models.licences import reached_works

Derivations = Callable[[Path], dict[str, str]]
ROOT = Path(__file__).parents[2]
EPISODE = "big-buck-bunny-excerpt"
FILM, VOICES = "big-buck-bunny", "librivox-sense-and-sensibility"


def edit(path: Path, **fields: Any) -> None:
    """Set fields of a JSON file."""
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}, indent=2))


def evaluate(checkout: Path, attribute: str, function: str = "value: value") -> Any:
    """Return the JSON value of a function of a checkout's flake attribute."""
    return Checkout(checkout).evaluate(f"path:{checkout}#{attribute}", function)


def refusal(checkout: Path, attribute: str) -> str:
    """Return what is said when ``attribute`` cannot be evaluated."""
    with pytest.raises(StageError) as caught:
        evaluate(checkout, f"{attribute}.drvPath")
    return str(caught.value)


def lock(checkout: Path, model: str, count: int = 1, **fields: Any) -> None:
    """Give a model a lock of made-up files."""
    paths = [f"part-{index:05}.safetensors" for index in range(count)]
    files = [
        {"path": path, "role": "dit", "size": 10**10, "sha256": f"{number:064x}"} for number, path in enumerate(paths)
    ]
    edit(checkout / f"materials/models/{model}.json", revision="0" * 39 + "1", files=files, **fields)


def test_every_stage_says_which_works_it_reaches(checkout: Path) -> None:
    works = evaluate(checkout, "smoke.stages", "builtins.mapAttrs (_: stage: stage.works)")
    assert {FILM, VOICES} <= set(works[f"{EPISODE}/clips"])
    assert not {"whisper-tiny-en", "silero-vad"} & set(works[f"{EPISODE}/clips"])
    assert {"silero-vad", "whisper-tiny-en"} <= set(works[f"{EPISODE}/transcript-base"])
    assert {FILM, VOICES, "whisper-tiny-en"} <= set(works["smoke/checkpoint"])
    assert "dejavu-fonts" in works["smoke/report"]
    assert works["smoke/wan22-tiny"] == []


TARGETS = ["smoke.checkpoint", "wan22-smoke", "smoke.latents", "smoke.text", f"smoke.episodes.{EPISODE}.clips"]


def test_the_works_of_any_target_can_be_asked_for(checkout: Path) -> None:
    for target in TARGETS:
        assert {FILM, VOICES} <= set(reached_works(Checkout(checkout), target)), target


def test_an_unknown_target_is_named(checkout: Path) -> None:
    with pytest.raises(StageError, match=r"smoke\.chequepoint"):
        reached_works(Checkout(checkout), "smoke.chequepoint")


def test_licences_and_profile_are_in_no_hash(checkout: Path, derivations: Derivations) -> None:
    before = derivations(checkout)
    edit(checkout / "materials/profile.json", yearly_revenue_usd=5, territories=["JP"], agreements={"a": "b"})
    edit(checkout / "materials/licences/terms/mit.json", title="MIT, read again", obligations=[])
    edit(checkout / "materials/licences/works/big-buck-bunny.json", attribution="Somebody else.")
    edit(checkout / "materials/models/whisper-tiny-en.json", about="Another sentence.", licence="apache-2.0")
    assert derivations(checkout) == before


def test_only_what_reaches_the_forbidden_model_is_refused(checkout: Path, derivations: Derivations) -> None:
    before = derivations(checkout)
    edit(checkout / "materials/models/whisper-tiny-en.json", licence="flux-dev-non-commercial")
    assert (
        "stage 'checkpoint' of 'smoke' reaches model 'whisper-tiny-en' (Whisper tiny.en, FLUX [dev] "
        "Non-Commercial License v2.0), which materials/profile.json may not use: commercial use is not allowed, and "
        "the profile is commercial (section 2(b)); lifted by the agreement 'black-forest-labs-flux-dev'"
    ) in refusal(checkout, "smoke.checkpoint")
    assert "stage 'transcript-base'" in refusal(checkout, f"smoke.episodes.{EPISODE}.transcript-base")
    for stage, attribute in (("clips", "clips"), ("wan22-latents", "latents")):
        found = evaluate(checkout, f"smoke.episodes.{EPISODE}.{attribute}.drvPath")
        assert found == before[f"{EPISODE}/{stage}"]
    edit(checkout / "materials/profile.json", agreements={"black-forest-labs-flux-dev": "the safe"})
    assert derivations(checkout) == before


def test_a_forbidden_film_is_refused_where_it_is_first_read(checkout: Path) -> None:
    edit(checkout / "materials/licences/works/big-buck-bunny.json", licence="by-agreement")
    said = refusal(checkout, f"smoke.episodes.{EPISODE}.master")
    assert f"stage 'excerpt' of '{EPISODE}' reaches film '{FILM}'" in said
    assert "it may be used under a signed agreement only" in said


def test_weights_inside_a_package_are_gated_too(checkout: Path) -> None:
    edit(checkout / "materials/licences/works/silero-vad.json", licence="flux-dev-non-commercial")
    assert "reaches model 'silero-vad'" in refusal(checkout, f"smoke.episodes.{EPISODE}.transcript-base")


MASTERS = """
let
  licences = import ./nix/licences.nix { };
  mkStage = import ./nix/stage.nix {
    system = "x86_64-linux"; environments.media = "/environment"; code = ./python; stages = { }; inherit licences;
  };
  definition = {
    name = "source"; kind = "source"; environment = "media"; inputs.master = "master"; schemas = [ ]; modules = [ ];
  };
  stage = master: mkStage { inherit definition; set = "episode-1"; inputs = { inherit master; }; };
  master = { kind = "master"; path = "/nix/store/master"; };
in
{ unmarked = (stage master).drvPath; marked = (stage (licences.mark [ "big-buck-bunny" ] master)).works; }
"""


def instantiate(expression: str) -> subprocess.CompletedProcess[str]:
    """Evaluate a Nix expression in the checkout."""
    command = ["nix-instantiate", "--extra-experimental-features", "ca-derivations", "--eval", "--strict"]
    command += ["--readonly-mode", "--json", "--expr", expression]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_a_master_without_a_licence_is_refused() -> None:
    said = instantiate(f"({MASTERS}).unmarked").stderr
    assert "stage 'source' of 'episode-1': input 'master' is a master of no known licence" in said
    assert json.loads(instantiate(f"({MASTERS}).marked").stdout) == ["big-buck-bunny"]


def test_a_forbidden_model_is_refused_before_anything_else(checkout: Path) -> None:
    for model in ("flux1-dev", "flux2-dev", "hunyuan-video", "ltx2", "wan27"):
        assert f"model '{model}' reaches model '{model}'" in refusal(checkout, f"models.{model}")


def test_a_target_with_real_ltx_weights_is_refused_with_the_clause(checkout: Path) -> None:
    lock(checkout, "ltx2", kind="wan22-model")
    smoke = checkout / "nix/pipelines/smoke.nix"
    smoke.write_text(smoke.read_text().replace("wan22 = mkStage {", "wan22 = models.ltx2; unused = mkStage {", 1))
    said = refusal(checkout, "smoke.checkpoint")
    assert "stage 'checkpoint' of 'smoke' reaches model 'ltx2'" in said
    assert "free only below 10000000 USD of yearly revenue" in said and "(section 2)" in said
    assert "lifted by the agreement 'lightricks-ltx-2' with Lightricks" in said
    edit(checkout / "materials/profile.json", agreements={"lightricks-ltx-2": "the safe"})
    assert evaluate(checkout, "smoke.checkpoint.drvPath").endswith("-reel-smoke-checkpoint.drv")


REAL_LTX2 = ["latents", "text", "plan", "preprocess", "segments.0", "checkpoint", "samples", "bundle"]


def test_every_ltx2_target_with_real_weights_is_refused_with_the_clause_and_what_would_lift_it(checkout: Path) -> None:
    for model in ("ltx2", "gemma3-12b"):
        lock(checkout, model)
    for target in REAL_LTX2:
        said = refusal(checkout, f"film-ltx2.{target}")
        assert "reaches model 'ltx2' (LTX-2 19B, LTX-2 Community License Agreement (January 5, 2026))" in said, target
        assert "free only below 10000000 USD of yearly revenue, and the profile does not state ours (section 2)" in said
        assert "lifted by the agreement 'lightricks-ltx-2' with Lightricks in the profile's agreements" in said
    # Neither clips nor the package reach any weights.
    assert evaluate(checkout, "film-ltx2.dataset.ltx2.drvPath").endswith("-reel-film-ltx2-ltx2-data.drv")
    edit(checkout / "materials/profile.json", agreements={"lightricks-ltx-2": "the safe"})
    # Its text encoder's terms are a gate of their own.
    assert "nobody has read its licence yet (Gemma Terms of Use)" in refusal(checkout, "film-ltx2.text")
    edit(checkout / "materials/licences/terms/gemma.json", checked=True)
    for target in REAL_LTX2:
        assert evaluate(checkout, f"film-ltx2.{target}.drvPath").endswith(".drv")


def test_the_toy_ltx2_is_under_no_licence_of_the_real_one(checkout: Path) -> None:
    works = evaluate(checkout, "smoke-ltx2.stages", "builtins.mapAttrs (_: stage: stage.works)")
    assert not any({"ltx2", "gemma3-12b"} & set(reached) for reached in works.values())
    assert works["smoke-ltx2/ltx2-tiny"] == []


def test_an_unlocked_model_says_to_lock_it(checkout: Path) -> None:
    edit(checkout / "materials/models/wan22-ti2v-5b.json", revision=None, files=[])
    said = refusal(checkout, "models.wan22-ti2v-5b")
    assert "model 'wan22-ti2v-5b' is not locked: " in said
    assert "run: reel models lock wan22-ti2v-5b" in said


def test_a_new_revision_with_the_same_files_rebuilds_nothing(checkout: Path) -> None:
    lock(checkout, "wan22-ti2v-5b")
    before = evaluate(checkout, "models.wan22-ti2v-5b.outPath")
    edit(checkout / "materials/models/wan22-ti2v-5b.json", revision="0" * 39 + "2", about="Another sentence.")
    assert evaluate(checkout, "models.wan22-ti2v-5b.outPath") == before


def test_a_model_of_a_hundred_shards_has_one_derivation_a_shard(checkout: Path) -> None:
    lock(checkout, "wan22-ti2v-5b", count=100)
    files = evaluate(checkout, "models.wan22-ti2v-5b.files", "builtins.mapAttrs (_: file: file.outPath)")
    assert len(set(files.values())) == 100
    assert evaluate(checkout, "models.wan22-ti2v-5b.drvPath").endswith("-reel-model-wan22-ti2v-5b.drv")


STORE_NAMES = {
    "a b/c@d.bin": "c-d.bin",
    ".hidden": "dot.hidden",
    "model-1-of-2.safetensors": "model-1-of-2.safetensors",
}


@pytest.mark.parametrize(("path", "name"), STORE_NAMES.items())
def test_a_store_name_has_only_characters_that_a_store_takes(path: str, name: str) -> None:
    stub = 'attributes: derivation (removeAttrs attributes [ "file" ] // { system = "none"; builder = "none"; })'
    entry = f'{{ path = "{path}"; sha256 = "{"0" * 64}"; }}'
    finished = instantiate(f'(import ./nix/models/file.nix ({stub}) "toy" {entry}).outPath')
    assert json.loads(finished.stdout).endswith(f"-{name}")
