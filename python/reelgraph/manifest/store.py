"""Masters in the Nix store: the path that each has by its hash alone, which are there, adding and forgetting them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reelgraph.errors import StageError
from reelgraph.files import read_json
from reelgraph.graph.derivation import STORE, base32
from reelgraph.graph.store import Store
from reelgraph.manifest.document import Episode
from reelgraph.manifest.hashes import Hashes
from reelgraph.models import store as nix


def store_name(episode: Mapping[str, Any]) -> str:
    """Return a master's name in the store, as nix/master.nix gives it: no title, which may be confidential."""
    return f"reel-master-{episode['id']}{episode['suffix']}"


def store_path(episode: Mapping[str, Any]) -> Path:
    """Return the store path that a master has by its hash, whether it is there or not."""
    inner = hashlib.sha256(f"fixed:out:sha256:{episode['sha256']}:".encode()).hexdigest()
    digest = hashlib.sha256(f"output:out:sha256:{inner}:{STORE}:{store_name(episode)}".encode()).digest()
    short = bytearray(20)
    for index, byte in enumerate(digest):
        short[index % 20] ^= byte
    return Path(f"{STORE}/{base32(bytes(short))}-{store_name(episode)}")


@dataclass
class Status:
    """Which masters the store has and lacks, and which files of a folder are not those of the manifest."""

    present: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    altered: dict[str, str] = field(default_factory=dict)


def status(episodes: Iterable[Episode], folder: Path | None = None, hashes: Hashes | None = None) -> Status:
    """Ask the store for every master, and compare sizes and remembered hashes where a ``folder`` holds the files."""
    result = Status()
    held = {path for (path,) in Store().query("select path from ValidPaths where path like '%-reel-master-%'")}
    for episode in episodes:
        (result.present if str(store_path(episode)) in held else result.missing).append(episode["id"])
        if folder is not None and (why := _difference(_located(folder, episode), episode, hashes or Hashes())):
            result.altered[episode["id"]] = why
    return result


def _located(folder: Path, episode: Episode) -> Path:
    """Return where a master lies: an accent in its name may be a letter there, or a letter and a mark."""
    spelt = [folder / unicodedata.normalize(form, episode["file"]) for form in ("NFC", "NFD")]
    return next((path for path in spelt if path.exists()), spelt[0])


def _difference(file: Path, episode: Episode, hashes: Hashes) -> str | None:
    if not file.is_file():
        return "is not in the folder"
    if (size := file.stat().st_size) != episode["bytes"]:
        return f"has {size} bytes, the manifest says {episode['bytes']}"
    found = hashes.known(file)
    if found is None:
        return "has another time than when it was hashed; its bytes are not known, run: reel manifest ingest"
    return None if found == episode["sha256"] else f"its SHA-256 is {found}, the manifest says {episode['sha256']}"


def ingest(
    folder: Path, episodes: Iterable[Episode], hashes: Hashes, on_bytes: Callable[[int], None]
) -> tuple[int, list[str]]:
    """Verify the masters in ``folder`` and add those that the store lacks; return how many, and a sentence for each
    refused. One that the store has may be absent from the folder.
    """
    added, refused = 0, []
    for episode in episodes:
        file, path = _located(folder, episode), store_path(episode)
        lacks = bool(nix.missing_paths([path]))
        try:
            if lacks or file.is_file():
                _check(file, episode, hashes, on_bytes)
            else:
                on_bytes(episode["bytes"])
            if lacks:
                _add(file, episode, path)
        except StageError as error:
            refused.append(str(error))
            if lacks:
                continue
        added += lacks
        nix.keep(path, roots_folder() / episode["id"])
    return added, refused


def _check(file: Path, episode: Episode, hashes: Hashes, on_bytes: Callable[[int], None]) -> None:
    if not file.is_file():
        raise StageError(f"{episode['id']}: {file} is not there; name the folder that holds it", status=3)
    found = hashes.read(file, on_bytes)
    if found != episode["sha256"]:
        raise StageError(
            f"{episode['id']}: {file.name}: SHA-256 is {found}, the manifest says {episode['sha256']}; "
            "restore the master, or build the manifest again if this is the right one"
        )


def _add(file: Path, episode: Episode, path: Path) -> None:
    nix.check_space(path.parent, episode["bytes"], f"{episode['id']}: its master")
    with _named(file, store_name(episode)) as named:
        nix.add_file(named, path)


@contextmanager
def _named(file: Path, name: str) -> Iterator[Path]:
    """Give ``file`` its name in the store by a link beside it, by one in the cache, or by a copy where none can be."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reelgraph/manifest"
    place = cache / f"ingest-{os.getpid()}" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        try:
            place.hardlink_to(file.resolve())
        except OSError:
            nix.check_space(cache, file.stat().st_size, f"{file.name}: a copy of it")
            shutil.copyfile(file, place)
        yield place
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)


def roots_folder() -> Path:
    """Return where the links lie that keep masters from being collected."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "reelgraph/masters"


@dataclass
class Forgotten:
    """What was deleted of an episode, what could not be, with what keeps it, and what else was made from it."""

    deleted: list[str] = field(default_factory=list)
    kept: dict[str, list[str]] = field(default_factory=dict)
    made_from_it: list[str] = field(default_factory=list)


def forget(identity: str, dry: bool = False) -> Forgotten:
    """Delete the outputs of an episode's stages and its masters from the store; name what stands in the way."""
    store = Store()
    prefix = f"reel-{identity}-"
    held = [path for (path,) in store.query("select path from ValidPaths where path like ?", f"%-{prefix}%")]
    outputs = [path for path in held if not path.endswith((".drv", ".drv.chroot"))]
    outputs = [path for path in outputs if _set_of(store, path) == identity]
    # Earlier masters of the episode too, which the manifest does not name any more.
    masters = store.query("select path from ValidPaths where path like ?", f"%-reel-master-{identity}.%")
    outputs += [path for (path,) in masters if not path.endswith(".drv")]
    result = Forgotten(made_from_it=_made_from(store, identity))
    own = roots_folder() / identity
    if not dry:
        own.unlink(missing_ok=True)
    roots = {path: [root for root in names if root != str(own)] for path, names in _roots().items()}
    for path in sorted(outputs):
        users = _users(store, path)
        holders = [user for user in users if not user.endswith(".drv") and user not in outputs]
        keepers = sorted({root for user in users for root in roots.get(user, ())}) + sorted(holders)
        if keepers:
            result.kept[path] = keepers
        elif dry or (why := _delete(users)) is None:
            result.deleted.append(path)
        else:
            result.kept[path] = [why]
    return result


def _delete(paths: Iterable[str]) -> str | None:
    """Delete paths, of which all that refer to one must be among them; return why not, or None."""
    # Without the option the derivation of a dataset, which names the episode's outputs, would be kept for the dataset.
    command = ["nix-store", "--option", "keep-derivations", "false", "--delete", *sorted(paths)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if finished.returncode == 0 else finished.stderr.strip().splitlines()[-1]


def _set_of(store: Store, path: str) -> str | None:
    """Return the episode of a stage's output: ids may begin alike, so its name does not say where the id ends."""
    manifest = store.file(path) / "stage.json"
    if not manifest.is_file():
        return None
    stage = read_json(manifest)["stage"]
    return Path(path).name.split("-", 1)[1].removeprefix("reel-").removesuffix(f"-{stage}")


def _made_from(store: Store, identity: str) -> list[str]:
    """Return the outputs of whole datasets one of whose inputs is this episode."""
    found = []
    for (path,) in store.query("select path from ValidPaths where path like '%-reel-%' and path not like '%.drv'"):
        manifest = store.file(path) / "stage.json"
        if (
            manifest.is_file()
            and identity.encode() in manifest.read_bytes()
            and any(isinstance(value, dict) and identity in value for value in read_json(manifest)["inputs"].values())
        ):
            found.append(path)
    return sorted(found)


def _roots() -> dict[str, list[str]]:
    """Return what keeps paths from being collected, by path: links, and programs that run."""
    roots: dict[str, list[str]] = {}
    for line in nix.run_nix("nix-store", "--gc", "--print-roots").splitlines():
        root, arrow, path = line.rpartition(" -> ")
        if arrow:
            roots.setdefault(path.strip(), []).append(root)
    return roots


def _users(store: Store, path: str) -> set[str]:
    """Return a path and everything that refers to it, however far."""
    rows = store.query(
        "with recursive users(id) as (select id from ValidPaths where path = ?"
        " union select referrer from Refs join users on reference = users.id)"
        " select path from ValidPaths join users using (id)",
        path,
    )
    return {user for (user,) in rows}
