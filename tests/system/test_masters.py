"""From a folder of made-up masters to clips: `reel manifest`, the licensed pipeline, and forgetting an episode."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from real_nix import nixw
from small_films import read_numbers, write_film

# Of this run alone, so that the store cannot have them from another one; in a container a process id comes again.
RUN = secrets.randbelow(10**8)
FIRST, SECOND = (f"9{RUN:08}{number}" for number in (1, 2))


@dataclass(frozen=True)
class Licensed:
    """A checkout with masters beside it."""

    root: Path
    masters: Path

    def reel(self, *arguments: str | Path) -> tuple[int, str]:
        """Run `reel manifest` in the checkout; return its status and everything that it said."""
        code = "from reelgraph.cli.main import main; main(prog_name='reel')"
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root / "python"),
            "XDG_CACHE_HOME": str(self.root.parent / "cache"),
            "XDG_STATE_HOME": str(self.root.parent / "state"),
        }
        command = [sys.executable, "-c", code, "manifest", *map(str, arguments)]
        finished = subprocess.run(
            command,
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return finished.returncode, finished.stdout

    def app(self, *arguments: str | Path) -> Any:
        """Run the manifest's app of the checkout's flake, as the runbook names it."""
        return nixw("run", f"path:{self.root}#build_iiw_english_source_manifest", "--", *arguments, cwd=self.root)

    def build(self, attribute: str) -> Any:
        """Build an attribute of the checkout's flake."""
        return nixw("build", "--no-link", "--json", f"path:{self.root}#{attribute}", cwd=self.root)


@pytest.fixture
def licensed(checkout: Path, tmp_path: Path, made_up_work: dict[str, Any]) -> Iterator[Licensed]:
    """Two episodes as a licensor would deliver them; what is put into the store is forgotten afterwards."""
    masters = tmp_path / "masters"
    masters.mkdir()
    write_film(masters / f"TST_{FIRST}_Circles_EN.mp4", [("moving", 60), ("moving", 50)], size=(832, 480))
    write_film(masters / f"TST_{SECOND}_Squares_EN.mkv", [("moving", 45), ("moving", 61)], size=(832, 480))
    data = checkout / "materials/training-data"
    patterns = json.loads((data / "name-patterns.json").read_text())
    patterns |= {
        "series": "tst",
        "patterns": ["TST_(?P<production>\\d+)_(?P<title>.+)_(?P<language>EN|FR)"],
        "examples": ["TST_901_Circles_EN.mp4"],
    }
    (data / "name-patterns.json").write_text(json.dumps(patterns))
    (checkout / "materials/licences/works/tst.json").write_text(json.dumps(made_up_work))
    whole = Licensed(checkout, masters)

    yield whole
    for name in (f"tst-{FIRST}", f"tst-{FIRST}-fr", f"tst-{SECOND}"):
        whole.reel("forget", name)


def test_masters_become_clips_and_are_forgotten(licensed: Licensed) -> None:
    said = licensed.app(licensed.masters)
    assert (said.status, "2 masters" in said.output) == (0, True), said.log
    assert (licensed.root / "docs/internal/iiw-english-episode-source-manifest.csv").is_file()
    place = licensed.root / "materials/training-data/iiw_english_source_manifest.json"
    manifest = json.loads(place.read_text())
    manifest["smoke_subset"] = [f"tst-{SECOND}"]
    place.write_text(json.dumps(manifest))

    early = licensed.build(f"iiw.episodes.tst-{FIRST}.clips")
    assert early.status != 0
    assert (
        f"episode 'tst-{FIRST}': its master TST_{FIRST}_Circles_EN.mp4 is not in the store; run: reel manifest ingest"
        in early.log
    )

    assert licensed.reel("status")[0] == 1
    status, said = licensed.reel("ingest", licensed.masters)
    assert (status, "2 added, 0 were there" in said) == (0, True), said
    assert licensed.reel("status", licensed.masters)[0] == 0
    assert "0 added, 2 were there" in licensed.reel("ingest", licensed.masters)[1]

    for episode, pipeline in ((f"tst-{FIRST}", "iiw"), (f"tst-{SECOND}", "iiw-english-smoke-video-only")):
        built = licensed.build(f"{pipeline}.episodes.{episode}.clips")
        assert built.status == 0, built.log[-3000:]
        clips = Path(json.loads(built.output)[0]["outputs"]["out"])
        found = json.loads((clips / "clips.json").read_text())
        assert found["clips"]
        for row in found["clips"]:
            assert read_numbers(clips / row["file"]) == list(range(row["start"], row["end"]))
        sheet = licensed.build(f"{pipeline}.episodes.{episode}.contact-sheet")
        assert (sheet.status, sheet.built_stages) == (0, [f"{episode}-contact-sheet"]), sheet.log[-3000:]
        page = Path(json.loads(sheet.output)[0]["outputs"]["out"])
        assert found["clips"][0]["id"] in (page / "index.html").read_text()
        assert (page / found["clips"][0]["file"]).read_bytes() == (clips / found["clips"][0]["file"]).read_bytes()
    # The other pipeline asks for the very same derivations.
    again = licensed.build(f"iiw.episodes.tst-{SECOND}.clips")
    assert (again.status, again.built_stages) == (0, [])

    # Another master for one episode: its chain is built again, the other's is not.
    write_film(licensed.masters / f"TST_{FIRST}_Circles_EN.mp4", [("moving", 50), ("moving", 60)], size=(832, 480))
    assert licensed.reel("status", licensed.masters)[0] == 1
    assert licensed.reel("build", licensed.masters)[0] == 0
    assert licensed.reel("ingest", licensed.masters)[0] == 0
    rebuilt = licensed.build(f"iiw.episodes.tst-{FIRST}.clips")
    assert rebuilt.status == 0
    assert {name.removesuffix("-fingerprints") for name in rebuilt.built_stages if SECOND in name} == set()
    assert any(f"{FIRST}-clips" in name for name in rebuilt.built_stages)

    status, said = licensed.reel("forget", f"tst-{FIRST}", "--dry-run", "--json")
    would = json.loads(said)
    names = {Path(path).name.split("-", 1)[1] for path in would["deleted"]}
    assert {f"reel-tst-{FIRST}-{stage}" for stage in ("clips", "shots", "source")} <= names
    status, said = licensed.reel("forget", f"tst-{FIRST}", "--json")
    assert (status, json.loads(said)["kept"]) == (0, {}), said
    assert not any(Path(path).exists() for path in would["deleted"] if "master" not in path)
    missing = json.loads(licensed.reel("status", "--json")[1])["missing"]
    assert missing == [f"tst-{FIRST}"]
    status, said = licensed.reel("forget", f"tst-{FIRST}")
    assert (status, "the store holds nothing of it" in said) == (1, True), said


def test_a_file_whose_master_the_store_has_is_verified_too(licensed: Licensed) -> None:
    assert licensed.reel("build", licensed.masters)[0] == 0
    assert licensed.reel("ingest", licensed.masters)[0] == 0
    first = next(licensed.masters.glob(f"TST_{FIRST}_*"))
    # As a copy on another disk.
    os.utime(first, (1, 1))
    status, said = licensed.reel("status", licensed.masters)
    assert (status, "its bytes are not known, run: reel manifest ingest" in said) == (1, True), said
    status, said = licensed.reel("ingest", licensed.masters)
    assert (status, "0 added, 2 were there" in said) == (0, True), said
    assert licensed.reel("status", licensed.masters)[0] == 0
    with first.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"?")
    status, said = licensed.reel("ingest", licensed.masters)
    assert (status, f"tst-{FIRST}: {first.name}: SHA-256 is" in said) == (1, True), said
    assert "0 added, 1 was there" in said and "1 of the masters cannot be used as it is" in said
    first.unlink()
    assert licensed.reel("ingest", licensed.masters)[0] == 0


def test_a_master_in_another_language_is_compared_and_not_trained_on(licensed: Licensed) -> None:
    shots = [("moving", 60), ("moving", 50)]
    write_film(licensed.masters / f"TST_{FIRST}_Cercles_FR.mkv", shots, size=(832, 480))
    assert licensed.reel("build", licensed.masters)[0] == 0
    assert licensed.reel("ingest", licensed.masters)[0] == 0
    built = licensed.build("iiw.variants")
    assert built.status == 0, built.log[-3000:]
    found = json.loads((Path(json.loads(built.output)[0]["outputs"]["out"]) / "variants.json").read_text())
    verdicts = {(pair["first"], pair["second"]): pair["verdict"] for pair in found["pairs"]}
    assert verdicts[f"tst-{FIRST}", f"tst-{FIRST}-fr"] == "same"
    refused = licensed.build(f"iiw.episodes.tst-{FIRST}-fr.clips")
    assert refused.status != 0 and f"tst-{FIRST}-fr" in refused.log
