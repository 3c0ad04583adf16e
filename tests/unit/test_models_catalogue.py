"""The model entries, their licences are data that holds together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from reelgraph.errors import StageError
from reelgraph.models.catalogue import Model, choose, read_models
from reelgraph.models.hub import role_of

ROOT = Path(__file__).parents[2]
MODELS = read_models(ROOT)


def with_roles(roles: dict[str, list[str]]) -> Model:
    """Return a model with these roles."""
    return Model("toy", "", "", "", None, "maker/toy", "main", roles, (), None, (), None)


def test_every_model_that_the_project_promises_has_an_entry() -> None:
    promised = {
        "wan22-ti2v-5b",
        "wan22-t2v-a14b",
        "wan22-i2v-a14b",
        "qwen25-vl-7b",
        "qwen25-omni-7b",
        "whisper-large-v3-turbo",
    }
    promised |= {"ltx2", "whisper-tiny-en", "flux1-dev", "flux2-dev", "hunyuan-video", "wan27"}
    assert promised <= MODELS.keys()


def test_each_ingest_task_has_its_group() -> None:
    assert {group: [model.name for model in choose(MODELS, [group])] for group in ("wan22", "qwen", "asr")} == {
        "wan22": ["wan22-ti2v-5b"],
        "qwen": ["qwen25-omni-7b", "qwen25-vl-7b"],
        "asr": ["whisper-large-v3-turbo"],
    }


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_names_a_known_licence_and_known_roles(model: Model) -> None:
    assert (ROOT / f"materials/licences/terms/{model.licence}.json").is_file()
    assert set(model.optional) <= set(model.roles)
    assert {file.role for file in model.files} <= set(model.roles)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_lock_is_whole_or_absent(model: Model) -> None:
    assert (model.revision is None) == (model.files == ())
    assert len({file.path for file in model.files}) == len(model.files)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.json", "config.json", True),
        ("*.json", "google/umt5-xxl/tokenizer.json", False),
        ("google/umt5-xxl/*", "google/umt5-xxl/tokenizer.json", True),
        ("google/umt5-xxl/*", "google/umt5-xxl/deeper/tokenizer.json", False),
        ("model-*.safetensors", "model-00001-of-00002.safetensors", True),
        ("a.b", "axb", False),
        ("LICENSE*", "LICENSE", True),
    ],
)
def test_a_roles_star_stops_at_a_slash(pattern: str, path: str, matches: bool) -> None:
    assert (role_of(with_roles({"weights": [pattern]}), path) == "weights") is matches


def test_the_first_role_that_matches_wins() -> None:
    model = with_roles({"tokenizer": ["tokenizer.json"], "config": ["*.json"]})
    assert [role_of(model, path) for path in ("tokenizer.json", "config.json", "model.bin")] == [
        "tokenizer",
        "config",
        None,
    ]


def test_a_damaged_entry_is_named_with_its_field(tmp_path: Path) -> None:
    folder = tmp_path / "materials/models"
    folder.mkdir(parents=True)
    entry = json.loads((ROOT / "materials/models/wan22-ti2v-5b.json").read_text())
    (folder / "wan.json").write_text(json.dumps({**entry, "revision": "main"}))
    with pytest.raises(StageError, match=r"wan\.json: revision: 'main' does not match"):
        read_models(tmp_path)
    (folder / "wan.json").write_text("{")
    with pytest.raises(StageError, match=r"wan\.json: is not JSON"):
        read_models(tmp_path)


def test_no_entry_carries_a_hash_that_nobody_could_have_taken() -> None:
    for path in (ROOT / "materials/models").glob("*.json"):
        hashes = re.findall(r'"sha256": "([0-9a-f]+)"', path.read_text())
        assert all(len(set(digest)) > 4 for digest in hashes), path.name
