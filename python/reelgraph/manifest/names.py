"""Production number, title and language out of file names, by patterns that are data."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.stage import validate


@dataclass(frozen=True)
class Name:
    """What a file's name says."""

    production: str
    title: str
    language: str


@dataclass(frozen=True)
class Patterns:
    """How the masters of a series are named; see schemas/name-patterns.json."""

    series: str
    expressions: tuple[re.Pattern[str], ...]
    languages: Mapping[str, str]
    default_language: str
    suffixes: tuple[str, ...]
    ignored: tuple[re.Pattern[str], ...]
    examples: tuple[str, ...]

    def wants(self, path: Path) -> bool:
        """Whether a file may be a master: not hidden, not one of those that lie beside masters."""
        return not path.name.startswith(".") and not any(pattern.search(path.name) for pattern in self.ignored)

    def read(self, path: Path) -> Name:
        """Return what a file's name says; one of no known pattern or suffix, or not in UTF-8, raises a StageError."""
        if (plain := str(path).encode(errors="replace").decode()) != str(path):
            raise StageError(f"{Path(plain).name}: its name, or its folder's, is not UTF-8; rename it")
        if path.suffix.lower() not in self.suffixes:
            raise StageError(
                f"{path.name}: its ending is not one of a master ({', '.join(self.suffixes)}); "
                "rename it, or add its ending to 'suffixes' or its name to 'ignored' in the patterns"
            )
        # macOS writes accents as letter and mark; both spellings are one name.
        stem = unicodedata.normalize("NFC", path.stem)
        for expression in self.expressions:
            if found := expression.fullmatch(stem):
                parts = found.groupdict()
                code = parts.get("language")
                if code and code.upper() not in self.languages:
                    known = ", ".join(self.languages)
                    raise StageError(f"{path.name}: language '{code}' is none of {known}; add it to the patterns")
                language = self.languages[code.upper()] if code else self.default_language
                title = re.sub(r"[_\s]+", " ", parts["title"]).strip(" -.")
                return Name(parts["production"], title, language)
        raise StageError(
            f"{path.name}: its name matches no pattern; expected one like {self.examples[0]}; rename it, or add a "
            "pattern to name-patterns.json"
        )


def read_patterns(path: Path) -> Patterns:
    """Return the patterns of a JSON file; a wrong one raises a StageError that names it."""
    data: dict[str, Any] = read_json(path)
    validate(data, "name-patterns", path.name)

    def compiled(texts: list[str]) -> tuple[re.Pattern[str], ...]:
        try:
            return tuple(re.compile(text, re.IGNORECASE) for text in texts)
        except re.error as error:
            raise StageError(f"{path.name}: '{error.pattern}' is no regular expression ({error}); mend it") from error

    patterns = Patterns(
        series=data["series"],
        expressions=compiled(data["patterns"]),
        languages=data["languages"],
        default_language=data["default_language"],
        suffixes=tuple(data["suffixes"]),
        ignored=compiled(data["ignored"]),
        examples=tuple(data["examples"]),
    )
    for expression in patterns.expressions:
        if missing := {"production", "title"} - set(expression.groupindex):
            raise StageError(f"{path.name}: pattern '{expression.pattern}' has no group named '{min(missing)}'; add it")
    for example in patterns.examples:
        patterns.read(Path(example))
    return patterns


def episode_id(series: str, production: str, language: str, default_language: str) -> str:
    """Return an episode's id: small letters, digits and dashes; the language only where it is not the usual one."""
    plain = unicodedata.normalize("NFKD", production).encode("ascii", "ignore").decode()
    words = [series, re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")]
    return "-".join(words if language == default_language else [*words, language])
