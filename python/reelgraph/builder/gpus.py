"""Which GPU a line of a machine's description means: by the table in gpus.json, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from reelgraph.files import read_json
from reelgraph.stage import validate

# A line with one of these words is about a graphics card, whether the table knows it or not.
_ABOUT_GPU = re.compile(r"\b(nvidia|geforce|quadro|tesla|rtx|gtx|radeon|gpu|grafikkarte|graphics card)\b")
_COUNT = re.compile(r"^(\d+)\s*[x\u00d7]\s*(?=[a-z])")
_MEMORY = re.compile(r"[\s,(]+(\d+)\s*gb\b.*$")
_FILLER = re.compile(r"\b(nvidia|geforce|generation|workstation|edition|gpu|graphics card|grafikkarte)\b")


@dataclass(frozen=True)
class Gpu:
    """One model of card: ``memory_gb`` of one card, ``driver`` as nixpkgs names the branch."""

    name: str
    model: str
    memory_gb: int
    compute_capability: tuple[int, int]
    driver: str
    open_kernel_module: bool


@dataclass(frozen=True)
class Found:
    """The cards of one machine."""

    gpu: Gpu
    count: int
    line: str


@cache
def _table() -> dict[str, Gpu]:
    value = read_json(Path(__file__).with_name("gpus.json"))
    validate(value, "builder-gpus", "gpus.json")
    return {
        name: Gpu(
            name=entry["class"],
            model=entry["model"],
            memory_gb=entry["memory_gb"],
            compute_capability=parse_capability(entry["compute_capability"]),
            driver=entry["driver"],
            open_kernel_module=entry["open_kernel_module"],
        )
        for entry in value["gpus"]
        for name in entry["names"]
    }


def parse_capability(text: str) -> tuple[int, int]:
    """Return ``(8, 9)`` for "8.9"; raise ValueError for anything else."""
    if not re.fullmatch(r"\d+\.\d", text):
        raise ValueError(f"'{text}' is not a compute capability such as 8.9")
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def find_gpu(description: Iterable[str]) -> tuple[Found | None, list[str]]:
    """Return the one GPU that a description names, and the lines about graphics cards that the table does not know.

    A description that names several models has none that can be relied on: all its lines come back as unknown.
    """
    found: list[Found] = []
    unknown: list[str] = []
    for line in description:
        match = _match(line)
        if match:
            found.append(match)
        elif _ABOUT_GPU.search(_plain(line)):
            unknown.append(line)
    if len({match.gpu for match in found}) > 1:
        return None, [match.line for match in found] + unknown
    return (found[0], unknown) if found and not unknown else (None, unknown)


def _match(line: str) -> Found | None:
    text = _plain(line)
    count = _COUNT.match(text)
    text = text[count.end() :] if count else text
    gpu = _table().get(_shortened(text))
    if gpu is None and (memory := _MEMORY.search(text)):
        gpu = _table().get(_shortened(text[: memory.start()]))
        if gpu is not None and gpu.memory_gb != int(memory.group(1)):
            return None
    return Found(gpu, int(count.group(1)) if count else 1, line) if gpu else None


def _plain(line: str) -> str:
    return " ".join(re.sub(r"[™®©]|\((tm|r)\)", " ", line.casefold()).split())


def _shortened(text: str) -> str:
    return " ".join(_FILLER.sub(" ", text).split()).strip(" ,")
