"""What a Nix store holds, read from its database and logs without asking Nix: thousands of stages in one query."""

from __future__ import annotations

import bz2
import json
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.graph.derivation import STORE, Derivation, derivation_name, parse_file

_RESOLVED = b'Derive([("out","","r:sha256","")],[],'
_DONE = re.compile(rb"^(?:\S+/)?[a-z0-9-]+: done in ([0-9.]+) s\s*$", re.MULTILINE)


@dataclass(frozen=True)
class ValidPath:
    """A path that the store holds: NAR hash (``sha256:<hex>``), NAR bytes, and when it was registered (Unix)."""

    path: str
    hash: str
    size: int
    registered: int


@dataclass(frozen=True)
class Store:
    """A local Nix store, or one below ``root`` as ``--store ROOT`` makes it."""

    root: Path = Path("/")

    def file(self, path: str) -> Path:
        """Return where a store path lies on this machine."""
        return self.root / path.lstrip("/")

    @cached_property
    def _prefix(self) -> str:
        return str(self.root).rstrip("/")

    @property
    def database(self) -> Path:
        """The store's database file."""
        return self.root / "nix/var/nix/db/db.sqlite"

    def query(self, statement: str, *values: object) -> list[tuple]:
        """Return the rows of a reading statement; a store that does not exist yet has none."""
        if not self.database.is_file():
            return []
        try:
            # Nix keeps writing while this reads; a snapshot of a moment is what is wanted.
            connection = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, timeout=30)
            try:
                return connection.execute(statement, values).fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise StageError(
                f"{self.database}: cannot be read ({error}); reel knows the databases of Nix 2.8 to 2.34", status=3
            ) from error

    @cached_property
    def realisations(self) -> dict[str, ValidPath]:
        """What each derivation's output turned out to be, by realisation id."""
        rows = self.query(
            "select r.drvPath, r.outputName, v.path, v.hash, v.narSize, v.registrationTime"
            " from Realisations r join ValidPaths v on v.id = r.outputPath"
        )
        return {
            f"{digest}!{output}": ValidPath(path, nar, size or 0, time)
            for digest, output, path, nar, size, time in rows
        }

    def valid(self, path: str) -> ValidPath | None:
        """Return what the store knows of a path, or None if it does not hold it."""
        rows = self.query("select path, hash, narSize, registrationTime from ValidPaths where path = ?", path)
        return ValidPath(rows[0][0], rows[0][1], rows[0][2] or 0, rows[0][3]) if rows else None

    @cached_property
    def stage_derivations(self) -> dict[str, list[str]]:
        """The derivations of stages as built, needing no other, by name (``reel-<set>-<stage>``), the newest first.

        A store has many more that were only evaluated: those are left out here.
        """
        found: dict[str, list[str]] = {}
        for (path,) in self.query(
            "select path from ValidPaths as stage where path like '%-reel-%.drv' and not exists ("
            " select 1 from Refs join ValidPaths as needed on needed.id = Refs.reference"
            " where Refs.referrer = stage.id and needed.path like '%.drv'"
            ") order by registrationTime desc, id desc"
        ):
            found.setdefault(derivation_name(path), []).append(path)
        return found

    def built(self, name: str) -> Iterator[Derivation]:
        """Yield the derivations of a name whose output the store holds, as they were built, the newest first."""
        for path in self.stage_derivations.get(name, []):
            derivation = self.resolved(path)
            if derivation is not None and derivation.realisation() in self.realisations:
                yield derivation

    def resolved(self, path: str) -> Derivation | None:
        """Return a content-addressed derivation that waits for nothing, or None; each is read once."""
        if path not in self._read:
            self._read[path] = _read_resolved(f"{self._prefix}{path}")
        return self._read[path]

    @cached_property
    def _read(self) -> dict[str, Derivation | None]:
        return {}

    @cached_property
    def logs(self) -> frozenset[str]:
        """The names of the derivations of which there is a build log."""
        folder = self.root / "nix/var/log/nix/drvs"
        if not folder.is_dir():
            return frozenset()
        return frozenset(
            f"{part.name}{log.name.removesuffix('.bz2')}" for part in os.scandir(folder) for log in os.scandir(part)
        )

    def with_hash(self, nar_hash: str) -> ValidPath | None:
        """Return a path with these contents (NAR hash ``sha256:<hex>``), whatever its name, or None."""
        rows = self.query("select path from ValidPaths where hash = ? order by path", nar_hash)
        return self.valid(rows[0][0]) if rows else None

    def has_log(self, path: str) -> bool:
        """Whether the build of a derivation was ever started here."""
        return path.removeprefix(f"{STORE}/") in self.logs

    def seconds(self, path: str) -> float | None:
        """Return how long a derivation's build took by the last line of its log; None if that does not say."""
        if not self.has_log(path):
            return None
        name = path.removeprefix(f"{STORE}/")
        try:
            with open(f"{self._prefix}/nix/var/log/nix/drvs/{name[:2]}/{name[2:]}.bz2", "rb") as file:
                log = bz2.decompress(file.read())
        except (OSError, ValueError, EOFError):
            return None
        found = _DONE.findall(log)
        return float(found[-1]) if found else None

    def references(self, paths: Iterable[str]) -> set[str]:
        """Return the closure of ``paths``: themselves and everything that they refer to, however far."""
        rows = self.query(
            "with recursive closure(id) as (select id from ValidPaths where path in (select value from json_each(?))"
            " union select reference from Refs join closure on referrer = closure.id)"
            " select path from ValidPaths join closure using (id)",
            json.dumps(sorted(paths)),
        )
        return {path for (path,) in rows}


def _read_resolved(file: str) -> Derivation | None:
    """Read a .drv file if it is content-addressed and waits for nothing; thousands of others need not be read whole."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(len(_RESOLVED))
            return parse_file(file, head + stream.read()) if head == _RESOLVED else None
    except OSError:
        return None
