"""What evaluations gave, kept under the contents of all that they read, so that the same question is evaluated once.

A flake's evaluation is pure: it reads the flake's own files, its locked inputs and nothing else. `nix flake metadata`
names the files by a store path that follows from their contents, and every input by its hash.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import marshal
import os
import platform
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelgraph.errors import StageError

if TYPE_CHECKING:
    from reelgraph.graph.evaluate import Checkout

_MOST_KEPT = 8


def evaluate_once(checkout: Checkout, reference: str, attribute: str, function: str) -> Any:
    """Return the JSON of a Nix function of a flake's attribute, evaluated read-only if these files never were.

    Raises a StageError with what Nix said.
    """
    files, key = _identify(checkout, reference, attribute, function)
    if files is None:
        return checkout.evaluate(f"{reference}#{attribute}", function, "--read-only")
    place = _folder() / f"{key}.marshal.z"
    with contextlib.suppress(OSError, ValueError, EOFError, TypeError, zlib.error):
        value = marshal.loads(zlib.decompress(place.read_bytes()))
        os.utime(place)
        return value
    try:
        # These very files, whatever is edited meanwhile.
        value = checkout.evaluate(f"path:{files}#{attribute}", function, "--read-only")
    except StageError:
        # The complaint shall name what the user named.
        return checkout.evaluate(f"{reference}#{attribute}", function, "--read-only")
    # Where nothing can be kept, everything is evaluated each time.
    with contextlib.suppress(OSError):
        _keep(place, value)
    return value


def _identify(checkout: Checkout, reference: str, attribute: str, function: str) -> tuple[str | None, str]:
    """Return the store path of a flake's files, None if Nix does not tell, and a name for all that is read."""
    finished = checkout.nix("flake", "metadata", "--json", reference)
    metadata = json.loads(finished.stdout) if finished.returncode == 0 else {}
    if not metadata.get("path") or not metadata.get("locks"):
        return None, ""
    program = Path(shutil.which("nix", path=checkout.environment["PATH"]) or "nix").resolve()
    status = program.stat()
    nix = [str(program), status.st_size, status.st_mtime_ns, platform.machine(), os.environ.get("NIX_CONFIG", "")]
    read = [metadata["path"], metadata["locks"], nix, attribute, checkout.question(function)]
    return metadata["path"], hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "reelgraph" / "evaluations"


def _keep(place: Path, value: Any) -> None:
    """Write an evaluation whole or not at all, and forget those that were not asked for the longest."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(f".{os.getpid()}.part")
    # A tenth of the size in a tenth of a second.
    part.write_bytes(zlib.compress(marshal.dumps(value), 1))
    part.replace(place)
    kept = sorted(place.parent.glob("*.marshal.z"), key=lambda file: file.stat().st_mtime_ns)
    for file in kept[:-_MOST_KEPT]:
        file.unlink(missing_ok=True)
