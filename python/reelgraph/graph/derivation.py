"""Nix derivations as values: read a .drv file, put built outputs in place of its inputs, name the result as Nix does.

A content-addressed derivation is built under the name that it has once its inputs' outputs are known (it is then
"resolved"), so that is the name to ask the store about. Nix's manual describes the format: "Derivation", "Store path".
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b32encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError

STORE = "/nix/store"
STORE_PATH = re.compile(r"/nix/store/[0-9a-z]{32}-[0-9A-Za-z+._?=-]+")
# What stands for the output of a content-addressed input until that is built.
PLACEHOLDER = re.compile(r"/[0-9a-z]{52}(?![0-9a-z])")
_DIGITS = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdfghijklmnpqrsvwxyz")
_HEAD = "Derive("
_JSON = json.JSONDecoder(strict=False)
_SPECIAL = re.compile(r'[\\"\n\r\t]')
# The backslash first: the others are written with one. str.translate takes several times as long.
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


@dataclass(frozen=True)
class Output:
    """An output: its path ("" while unknown), and how and by which hash it is addressed ("" where by its inputs)."""

    path: str
    method: str
    digest: str


@dataclass(frozen=True)
class Derivation:
    """A derivation: what Nix runs, on what, for which outputs. ``input_derivations`` has the wanted outputs of each."""

    outputs: Mapping[str, Output]
    input_derivations: Mapping[str, tuple[str, ...]]
    sources: tuple[str, ...]
    system: str
    builder: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """The structured attributes, or the environment where there are none; not to be changed."""
        return json.loads(self.environment["__json"]) if "__json" in self.environment else dict(self.environment)

    def text(self) -> str:
        """Return the .drv file's text."""
        return self._written[0]

    def path(self, name: str) -> str:
        """Return the store path of this derivation's .drv file."""
        references = sorted({*self.sources, *self.input_derivations})
        digest = hashlib.sha256(self.text().encode()).hexdigest()
        description = ":".join(["text", *references, "sha256", digest, STORE, f"{name}.drv"])
        return f"{STORE}/{base32(_compressed(description))}-{name}.drv"

    def realisation(self) -> str:
        """Return the id under which Nix notes what a resolved derivation's output turned out to be."""
        if self.input_derivations:
            raise ValueError("only a resolved derivation has a realisation of its own")
        return f"sha256:{hashlib.sha256(self._written[1].encode()).hexdigest()}!out"

    @cached_property
    def _written(self) -> tuple[str, str]:
        """The .drv file's text, and the same without the outputs' paths in the environment."""
        outputs = _list(
            f"({_join(name, output.path, output.method, output.digest)})"
            for name, output in sorted(self.outputs.items())
        )
        inputs = _list(
            f"({_quote(path)},{_strings(sorted(names))})" for path, names in sorted(self.input_derivations.items())
        )
        start = _start(self.system, self.builder, self.arguments)
        head = f"Derive({outputs},{inputs},{_strings(sorted(self.sources))},{start}"
        environment = [(name, f"({_quote(name)},{_quote(value)})") for name, value in sorted(self.environment.items())]
        whole = _list(pair for _, pair in environment)
        masked = _list(f'({_quote(name)},"")' if name in self.outputs else pair for name, pair in environment)
        return f"{head},{whole})", f"{head},{masked})"

    def resolve(self, floating: Mapping[tuple[str, str], str]) -> Derivation:
        """Return this derivation with the built paths of its content-addressed inputs, by (derivation, output), as
        sources.

        The paths of all other inputs are known beforehand, so they stand in the text already.
        """
        paths = {placeholder(*key): path for key, path in floating.items()}

        def put_in(text: str) -> str:
            return PLACEHOLDER.sub(lambda match: paths.get(match.group(), match.group()), text) if paths else text

        builder, arguments = put_in(self.builder), tuple(map(put_in, self.arguments))
        environment = {put_in(name): put_in(value) for name, value in self.environment.items()}
        mentioned = {*_paths_in("\n".join([builder, *arguments])), *STORE_PATH.findall("\n".join(environment.values()))}
        return Derivation(
            outputs=self.outputs,
            input_derivations={},
            sources=tuple(sorted({*self.sources, *paths.values(), *mentioned})),
            system=self.system,
            builder=builder,
            arguments=arguments,
            environment=environment,
        )


def parse_derivation(text: str) -> Derivation:
    """Return the derivation of a .drv file's text; raise ValueError if it is none."""
    if not text.startswith(_HEAD) or not text.endswith(")"):
        raise ValueError("not a derivation")
    # Between what may have round brackets, everything is JSON: Nix's escapes are a subset of JSON's.
    outputs, position = _tuples(text, len(_HEAD))
    inputs, position = _tuples(text, _behind_comma(text, position))
    parts = []
    for _ in range(4):
        part, position = _JSON.raw_decode(text, _behind_comma(text, position))
        parts.append(part)
    environment, position = _tuples(text, _behind_comma(text, position))
    if position != len(text) - 1:
        raise ValueError(f"text behind the environment at {position}")
    sources, system, builder, arguments = parts
    derivation = Derivation(
        outputs={name: Output(path, method, digest) for name, path, method, digest in outputs},
        input_derivations={path: tuple(names) for path, names in inputs},
        sources=tuple(sources),
        system=system,
        builder=builder,
        arguments=tuple(arguments),
        environment=dict(environment),
    )
    if derivation.outputs.keys() == {"out"} and "out" in derivation.environment:
        # It need not be written again to be known. Inside a text the same would have backslashes.
        own = f'("out",{_quote(derivation.environment["out"])})'
        derivation.__dict__["_written"] = text, text.replace(own, '("out","")')
    return derivation


def _behind_comma(text: str, position: int) -> int:
    if not text.startswith(",", position):
        raise ValueError(f"no comma at {position}")
    return position + 1


def _tuples(text: str, position: int) -> tuple[list[list[Any]], int]:
    """Return the list of tuples, each in round brackets, at a position and where it ends."""
    tuples: list[list[Any]] = []
    if text.startswith("[]", position):
        return tuples, position + 2
    while text[position : position + 2] in ("[(", ",("):
        entries: list[Any] = []
        position += 1
        while text[position : position + 1] in ("(", ","):
            entry, position = _JSON.raw_decode(text, position + 1)
            entries.append(entry)
        if text[position : position + 1] != ")":
            break
        tuples.append(entries)
        position += 1
    if text[position : position + 1] != "]":
        raise ValueError(f"an unfinished list at {position}")
    return tuples, position + 1


def read_derivation(path: Path) -> Derivation:
    """Read a .drv file, or raise a StageError that names it."""
    try:
        return parse_file(path, path.read_bytes())
    except OSError as error:
        raise StageError(f"{path}: cannot be read ({error.strerror}); evaluate the target again", status=3) from error


def parse_file(path: Path | str, contents: bytes) -> Derivation:
    """Return the derivation of a .drv file's contents, or raise a StageError that names the file."""
    try:
        return parse_derivation(contents.decode("utf-8", errors="surrogateescape"))
    except ValueError as error:
        raise StageError(f"{path}: is not a derivation that this version can read ({error})", status=3) from error


@lru_cache(maxsize=1 << 16)
def placeholder(derivation: str, output: str) -> str:
    """Return what stands for the unknown path of a derivation's output in those that need it."""
    digest, _, name = derivation.removeprefix(f"{STORE}/").removesuffix(".drv").partition("-")
    suffix = "" if output == "out" else f"-{output}"
    return "/" + base32(hashlib.sha256(f"nix-upstream-output:{digest}:{name}{suffix}".encode()).digest())


def base32(digest: bytes) -> str:
    """Return Nix's own base 32 of a hash: its bits from the last to the first, in digits of an alphabet of its own."""
    padded = digest[::-1].rjust(-(-len(digest) // 5) * 5, b"\0")
    return b32encode(padded).translate(_DIGITS).decode()[-((len(digest) * 8 + 4) // 5) :]


def derivation_name(path: str) -> str:
    """Return the name of a derivation from its store path."""
    return path.removesuffix(".drv").partition("-")[2]


def _compressed(description: str) -> bytes:
    digest, folded = hashlib.sha256(description.encode()).digest(), bytearray(20)
    for index, byte in enumerate(digest):
        folded[index % 20] ^= byte
    return bytes(folded)


@lru_cache(maxsize=1 << 10)
def _start(system: str, builder: str, arguments: tuple[str, ...]) -> str:
    """Return what starts a derivation as written; a thousand episodes' stages start alike."""
    return f"{_join(system, builder)},{_strings(arguments)}"


@lru_cache(maxsize=1 << 10)
def _paths_in(text: str) -> frozenset[str]:
    return frozenset(STORE_PATH.findall(text))


def _quote(text: str) -> str:
    if _SPECIAL.search(text):
        for character, escaped in _ESCAPES:
            text = text.replace(character, escaped)
    return f'"{text}"'


def _join(*texts: str) -> str:
    return ",".join(map(_quote, texts))


def _strings(texts: Iterable[str]) -> str:
    listed = list(texts)
    if not listed or _SPECIAL.search("".join(listed)):
        return _list(map(_quote, listed))
    return '["' + '","'.join(listed) + '"]'


def _list(texts: Iterable[str]) -> str:
    return f"[{','.join(texts)}]"
