"""What the flake offers of the CUDA builder, as far as it can be evaluated without nixpkgs."""

from __future__ import annotations

import json

import pytest
from evaluation import ROOT, EvaluationError, evaluate


@pytest.mark.parametrize("attribute", ["nixosModules", "nixosConfigurations"])
def test_the_flake_offers_the_builders_module_and_configuration(attribute: str) -> None:
    assert evaluate(ROOT, attribute, "builtins.attrNames") == ["cuda-builder"]


def test_an_installed_machine_is_made_by_the_function_that_the_installation_calls() -> None:
    assert evaluate(ROOT, "lib.x86_64-linux.cudaBuilder", "builtins.isFunction") is True


def test_disko_builds_with_the_projects_nixpkgs_and_is_locked() -> None:
    nodes = json.loads((ROOT / "flake.lock").read_text())["nodes"]
    assert nodes["disko"]["inputs"] == {"nixpkgs": ["nixpkgs"]}
    assert nodes["disko"]["locked"]["narHash"].startswith("sha256-")


def test_a_validation_that_could_be_cached_does_not_evaluate() -> None:
    with pytest.raises(EvaluationError, match="a validation needs a nonce"):
        evaluate(ROOT, "lib.x86_64-linux.builderValidation.gpu.drvPath")
