"""A store of its own for the second build: it is given what stages read, and none of what they made."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.graph.evaluate import Checkout
from reelgraph.graph.refusals import nix_complaint
from reelgraph.graph.store import Store, ValidPath
from reelgraph.progress import track


@dataclass(frozen=True)
class Rebuilt:
    """A second output: what its store says of it, and how long the build took if that is known."""

    output: ValidPath
    seconds: float | None


@dataclass(frozen=True)
class CleanStore:
    """A store below a folder, in which ``checkout``'s Nix builds or to which a ``builder``'s results come."""

    checkout: Checkout
    folder: Path
    builder: str | None = None

    @property
    def store(self) -> Store:
        """What is in it now."""
        return Store(self.folder)

    def prepare(self, derivations: Sequence[str]) -> str:
        """Give it derivations and everything that these read; return how: ``linked`` or ``copied``.

        Paths become hard links to the first store's where the file system allows.
        """
        wanted = Store().references(derivations)
        held = {path for (path,) in self.store.query("select path from ValidPaths")}
        missing = sorted(wanted - held)
        how = "linked"
        try:
            self._link(missing)
        except OSError:
            # Another file system, or files of another user: Nix copies, which takes longer and needs the room.
            how = "copied"
            self._copy(["--to", self.folder], [path for path in missing if not path.endswith(".drv")])
            # Nix before 2.15 takes a derivation's path for its outputs, and would build them in the first store.
            self._copy(["--derivation", "--to", self.folder], [path for path in missing if path.endswith(".drv")])
        if self.builder:
            self._copy(["--derivation", "--from", self.folder, "--to", self.builder], derivations)
        return how

    def build(self, derivations: Sequence[str], jobs: int) -> None:
        """Build derivations, going on where one fails; the log is shown as it comes."""
        wanted = list(map(self.checkout.outputs_of, derivations))
        place = self.builder or str(self.folder)
        options = [
            "--no-link",
            "-L",
            "--keep-going",
            "--max-jobs",
            str(jobs),
            "--option",
            "substituters",
            "",
            "--store",
            place,
        ]
        finished = self.checkout.show_nix("build", *options, *wanted)
        if self.builder:
            for batch in [wanted] if finished.returncode == 0 else [[one] for one in wanted]:
                self.checkout.show_nix("copy", "--no-check-sigs", "--from", self.builder, "--to", self.folder, *batch)

    def rebuilt(self, realisations: dict[str, str]) -> dict[str, Rebuilt]:
        """Return what was built, by realisation id; ``realisations`` has the derivation of each."""
        store = self.store
        return {
            identity: Rebuilt(store.realisations[identity], store.seconds(drv))
            for identity, drv in realisations.items()
            if identity in store.realisations
        }

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store, or raise a StageError if another audit does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "audit.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise StageError(
                    f"{self.folder}: another audit works in it; wait for it or name another --work"
                ) from error
            yield

    def remove(self) -> None:
        """Delete it; the first store's files stay, of which it has hard links."""
        remove_tree(self.folder)

    def _link(self, paths: Sequence[str]) -> None:
        (self.folder / "nix/store").mkdir(parents=True, exist_ok=True)
        for path in track(paths, "audit: linking what stages read into the clean store", len(paths), "path"):
            link_tree(Path(path), self.store.file(path))
        if paths:
            # Nix's own tools carry over what the first store knows of them.
            known = _nix_store(["--dump-db", *paths], None, dict(os.environ))
            _nix_store(["--load-db", "--store", str(self.folder)], known, self.checkout.environment)

    def _copy(self, options: Sequence[str | Path], paths: Sequence[str]) -> None:
        if paths and self.checkout.show_nix("copy", "--no-check-sigs", *options, *paths).returncode:
            raise StageError(f"{options[-1]}: Nix could not copy the stages' inputs to it; see above", status=3)


def _nix_store(arguments: Sequence[str], text: str | None, environment: dict[str, str]) -> str:
    settings = "extra-experimental-features = nix-command flakes ca-derivations\n" + environment.get("NIX_CONFIG", "")
    command = ["nix-store", *arguments]
    finished = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, env={**environment, "NIX_CONFIG": settings}
    )
    if finished.returncode:
        raise StageError(f"nix-store {arguments[0]}: {nix_complaint(finished.stderr)}", status=3)
    return finished.stdout


def link_tree(source: Path, target: Path) -> None:
    """Make ``target`` the same tree as ``source`` out of hard links, instead of what was left there."""
    if target.is_symlink() or target.is_file():
        target.unlink()
    elif target.is_dir():
        remove_tree(target)
    _link_entry(str(source), str(target), source.is_dir() and not source.is_symlink())


def _link_entry(source: str, target: str, is_folder: bool) -> None:
    if not is_folder:
        os.link(source, target, follow_symlinks=False)
        return
    os.mkdir(target)
    with os.scandir(source) as entries:
        for entry in entries:
            _link_entry(entry.path, f"{target}/{entry.name}", entry.is_dir(follow_symlinks=False))
    # As Nix leaves every folder of a store.
    os.chmod(target, 0o555)
    os.utime(target, (1, 1))


def remove_tree(folder: Path) -> None:
    """Delete a tree whose folders may be read-only; files are only unlinked, never changed."""
    for parent, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                os.chmod(path, stat.S_IRWXU)
    os.chmod(folder, stat.S_IRWXU)
    shutil.rmtree(folder)
