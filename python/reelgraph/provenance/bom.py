"""The bill of materials: a CycloneDX 1.6 ML-BOM of a statement, for tools that read these."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from reelgraph.errors import StageError

_TYPES = {
    "master": "data",
    "material": "data",
    "model": "machine-learning-model",
    "archive": "data",
    "package": "library",
}


def make_bom(statement: Mapping[str, Any], checkpoint: Mapping[str, str]) -> dict[str, Any]:
    """Return the ML-BOM of a statement; ``checkpoint`` is the checkpoint's own metadata. Same input, same BOM."""
    definition = statement["predicate"]["buildDefinition"]
    subject = next((entry for entry in statement["subject"] if entry["name"].endswith(".safetensors")), None)
    if subject is None:
        raise StageError("the statement has no checkpoint (.safetensors) among its subjects", status=2)
    components = [
        _component(entry) for entry in definition["resolvedDependencies"] if entry["annotations"]["role"] in _TYPES
    ]
    unique = {component["bom-ref"]: component for component in components}
    identity = hashlib.sha256(json.dumps(statement, sort_keys=True).encode()).digest()
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=identity[:16], version=4)}",
        "version": 1,
        "metadata": {"component": _checkpoint(subject, checkpoint, unique)},
        "components": [unique[name] for name in sorted(unique)],
        "dependencies": [
            {"ref": "checkpoint", "dependsOn": sorted(unique)},
            *({"ref": name} for name in sorted(unique)),
        ],
    }


def _checkpoint(
    subject: Mapping[str, Any], metadata: Mapping[str, str], components: Mapping[str, Any]
) -> dict[str, Any]:
    datasets = [name for name, component in sorted(components.items()) if component["type"] == "data"]
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "checkpoint",
        "name": metadata.get("modelspec.title") or subject["name"],
        "hashes": [{"alg": "SHA-256", "content": subject["digest"]["sha256"]}],
        "modelCard": {
            "modelParameters": {
                "task": "text-to-video",
                "architectureFamily": "diffusion transformer",
                "modelArchitecture": metadata.get("modelspec.architecture", "unknown"),
                "datasets": [{"ref": name} for name in datasets],
            }
        },
        "properties": [{"name": name, "value": value} for name, value in sorted(metadata.items()) if value],
    }
    if metadata.get("modelspec.license"):
        component["licenses"] = [{"license": {"name": metadata["modelspec.license"]}}]
    if metadata.get("modelspec.author"):
        component["copyright"] = metadata["modelspec.author"]
    return component


def _component(entry: Mapping[str, Any]) -> dict[str, Any]:
    role, digest = entry["annotations"]["role"], entry["digest"]["sha256"]
    is_package = entry.get("uri", "").startswith("pkg:")
    name, _, version = entry["uri"].removeprefix("pkg:pypi/").partition("@") if is_package else (entry["name"], "", "")
    component: dict[str, Any] = {
        "type": _TYPES[role],
        "bom-ref": f"{role}:{digest}",
        "name": name,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    if is_package:
        component |= {"version": version, "purl": entry["uri"]}
    licences = [
        entry["annotations"].get("licence"),
        *(work.get("licence") for work in entry["annotations"].get("licences", {}).values()),
    ]
    named = sorted({licence for licence in licences if licence})
    if named:
        component["licenses"] = [{"license": {"name": licence}} for licence in named]
    return component
