"""A checkpoint's release: the file, stamped with its statement, the statement, the bill of materials, the signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reelgraph.errors import StageError
from reelgraph.files import file_hash, read_json, write_json
from reelgraph.graph.evaluate import Checkout
from reelgraph.graph.store import Store
from reelgraph.new_folder import new_folder
from reelgraph.provenance.bom import make_bom
from reelgraph.provenance.collect import collect
from reelgraph.provenance.signing import sign
from reelgraph.provenance.stamp import read_checkpoint
from reelgraph.provenance.statement import make_statement

STATEMENT, BOM = "provenance.intoto.json", "bom.cdx.json"
PROFILE = Path("materials/profile.json")
NAMES_FIELD = "publish_master_names"


@dataclass(frozen=True)
class Release:
    """What was written, and the statement's hash."""

    files: tuple[Path, ...]
    statement: str


def make_release(
    checkout: Checkout,
    target: str,
    folder: Path,
    *,
    with_names: bool | None = None,
    key: Path | None = None,
    store: Store | None = None,
) -> Release:
    """Write a checkpoint's release into a new or empty folder; without a word on names, the profile decides."""
    if folder.exists() and any(folder.iterdir()):
        raise StageError(f"{folder}: is not empty; name a new folder, nothing is overwritten", status=2)
    materials = collect(checkout, target, store or Store())
    names = publishes_names(checkout.root) if with_names is None else with_names
    nix = ".".join(map(str, checkout.nix_version))
    statement = make_statement(materials, names, known_licences(checkout.root, materials.graph.stages), nix)
    with new_folder(folder) as part:
        write_json(part / STATEMENT, statement)
        digest = file_hash(part / STATEMENT)
        written = [part / STATEMENT]
        metadata: dict[str, str] = {}
        for source in sorted(materials.folder.glob("*.safetensors")):
            checkpoint = read_checkpoint(source)
            if checkpoint.digest(None) != file_hash(source):
                raise StageError(
                    f"{source.name}: its header is not as reelgraph writes it, so it cannot be stamped; build it again"
                )
            checkpoint.write(part / source.name, digest)
            written.append(part / source.name)
            metadata = metadata or checkpoint.metadata
        write_json(part / BOM, make_bom(statement, metadata))
        written.append(part / BOM)
        if key is not None:
            written.append(sign(part / STATEMENT, key))
    return Release(tuple(folder / path.name for path in written), digest)


def publishes_names(root: Path) -> bool:
    """Whether the profile allows episodes' ids and titles in a statement; it does not unless it says so."""
    path = root / PROFILE
    return path.is_file() and read_json(path).get(NAMES_FIELD) is True


def known_licences(root: Path, stages: Mapping) -> dict[str, dict[str, str]]:
    """Return licence and attribution of each licensed work that stages reach."""
    works = {work for stage in stages.values() for work in stage.works}
    if not works:
        return {}
    from reelgraph.models.licences import read_verdicts

    verdicts = read_verdicts(root)
    return {
        work: {
            "title": verdicts[work].title,
            "licence": verdicts[work].licence,
            "attribution": verdicts[work].attribution,
        }
        for work in sorted(works)
        if work in verdicts
    }
