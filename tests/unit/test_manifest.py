"""What one can rely on of the source manifest: every master is in it as it is, or refused in a sentence."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner
from small_films import write_film

from reelgraph.cli.main import main
from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.manifest import store
from reelgraph.manifest.build import bible_episode, build
from reelgraph.manifest.guard import install_hook, media_among
from reelgraph.manifest.hashes import Hashes
from reelgraph.manifest.names import episode_id, read_patterns
from reelgraph.media.overrides import read_overrides
from reelgraph.stage import validate

ROOT = Path(__file__).parents[2]
PATTERNS = ROOT / "materials/training-data/name-patterns.json"
SHOTS = [("moving", 12)]


@pytest.fixture
def masters(tmp_path: Path, film: Callable[..., Path]) -> Path:
    """A folder with three small masters: two English episodes, one of them in French too."""
    folder = tmp_path / "masters"
    for name, shots in (("IIW_101_The Hat_EN.mp4", 12), ("IIW_101_Le chapeau_FR.mp4", 13), ("IIW_102_Rain_EN.mkv", 14)):
        folder.mkdir(exist_ok=True)
        shutil.copyfile(film([("moving", shots)], name), folder / name)
    (folder / "notes.txt").write_text("not a master")
    return folder


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with nothing but what `reel manifest` reads, as the current directory."""
    root = tmp_path / "checkout"
    (root / "materials/training-data").mkdir(parents=True)
    shutil.copy(PATTERNS, root / "materials/training-data")
    for name in ("nixw", "flake.nix"):
        (root / name).touch()
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return root


def reel(*arguments: str | Path) -> tuple[int, str]:
    """Run the command and return its status and everything that it said."""
    finished = CliRunner().invoke(main, ["manifest", *map(str, arguments)])
    assert finished.exception is None or isinstance(finished.exception, SystemExit), finished.exception
    return finished.exit_code, finished.output


def manifest(checkout: Path) -> dict[str, Any]:
    return read_json(checkout / "materials/training-data/iiw_english_source_manifest.json")


def test_a_manifest_says_what_each_master_is(checkout: Path, masters: Path) -> None:
    status, said = reel("build", masters)
    assert (status, "3 masters" in said) == (0, True), said
    found = {episode["id"]: episode for episode in manifest(checkout)["episodes"]}
    assert list(found) == ["iiw-101", "iiw-101-fr", "iiw-102"]
    hat = found["iiw-101"]
    assert (hat["title"], hat["language"], hat["canonical"], hat["production"]) == ("The Hat", "en", True, "101")
    assert (found["iiw-101-fr"]["language"], found["iiw-101-fr"]["canonical"]) == ("fr", False)
    content = (masters / hat["file"]).read_bytes()
    assert (hat["bytes"], hat["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    video, audio = hat["streams"]
    assert (video["codec"], video["width"], video["height"], video["rate"], video["variable_rate"]) == (
        "h264",
        128,
        96,
        "24/1",
        False,
    )
    assert (audio["codec"], audio["channels"], audio["rate"]) == ("flac", 2, "44100")
    rows = list(csv.DictReader((checkout / "docs/internal/iiw-english-episode-source-manifest.csv").open()))
    assert [row["id"] for row in rows] == list(found)
    assert rows[0]["picture"] == "h264 128x96 24/1"


def test_what_a_person_wrote_survives_another_build(checkout: Path, masters: Path) -> None:
    reel("build", masters)
    written = manifest(checkout)
    written["smoke_subset"], written["work"] = ["iiw-102"], "big-buck-bunny"
    written["episodes"][0]["by_hand"] = {"title": "The Hat, restored", "bible_episode": "3"}
    place = checkout / "materials/training-data/iiw_english_source_manifest.json"
    write_json(place, written)
    (masters / "IIW_101_The Hat_EN.mp4").rename(masters / "IIW_101_The Red Hat_EN.mp4")
    assert reel("build", masters)[0] == 0
    again = manifest(checkout)
    assert again["episodes"][0]["by_hand"] == written["episodes"][0]["by_hand"]
    assert (again["episodes"][0]["title"], again["smoke_subset"]) == ("The Red Hat", ["iiw-102"])
    assert again["work"] == "big-buck-bunny"


def test_the_same_masters_give_the_same_bytes(checkout: Path, masters: Path) -> None:
    reel("build", masters, "--manifest", checkout / "first.json")
    reel("build", masters, "--manifest", checkout / "second.json")
    assert (checkout / "first.json").read_bytes() == (checkout / "second.json").read_bytes()


def test_a_file_is_read_again_only_when_size_or_time_changed(tmp_path: Path) -> None:
    file, read = tmp_path / "a.mov", []
    file.write_bytes(b"first")
    hashes = Hashes(tmp_path / "hashes.jsonl")
    first = hashes.read(file, read.append)
    os.chmod(file, 0)
    assert Hashes(tmp_path / "hashes.jsonl").known(file) == first
    os.chmod(file, 0o600)
    file.write_bytes(b"other")
    os.utime(file, ns=(1, 1))
    assert Hashes(tmp_path / "hashes.jsonl").read(file) == hashlib.sha256(b"other").hexdigest()


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.mov" for number in range(3)]
    for file in files:
        file.write_bytes(file.name.encode())
    place = tmp_path / "hashes.jsonl"
    Hashes(place).read(files[0])
    place.write_text(place.read_text() + '["half a li')
    again = Hashes(place)
    assert [again.known(file) is not None for file in files] == [True, False, False]


def test_titles_find_their_episode_of_the_bible(checkout: Path, masters: Path) -> None:
    bible = checkout / "bible.yaml"
    bible.write_text("episodes:\n- {id: '7', title: the hat}\n- {id: '8', title: Sun}\n")
    assert reel("build", masters, "--bible", bible)[0] == 0
    assert [episode["bible_episode"] for episode in manifest(checkout)["episodes"]] == ["7", None, None]
    assert bible_episode("Rain", []) is None
    # A bible may be a folder of files.
    (checkout / "bible").mkdir()
    bible.rename(checkout / "bible/episodes.yaml")
    assert reel("build", masters, "--bible", bible.parent / "bible")[0] == 0
    assert [episode["bible_episode"] for episode in manifest(checkout)["episodes"]] == ["7", None, None]


@pytest.mark.parametrize("text", ["hi", "episodes: 7", "episodes: [7]", "episodes:\n- title: the hat"])
def test_what_is_no_bible_is_named(checkout: Path, masters: Path, text: str) -> None:
    (checkout / "bible.yaml").write_text(text)
    status, said = reel("build", masters, "--bible", checkout / "bible.yaml")
    assert (status, said.count("bible.yaml: is no bible; expected")) == (1, 1), said


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("holiday.mp4", r"holiday\.mp4: its name matches no pattern; expected one like IIW_101"),
        ("IIW_103_Fog_EN.zip", r"IIW_103_Fog_EN\.zip: its ending is not one of a master"),
        ("IIW_103_Fog_EN.mov", r"IIW_103_Fog_EN\.mov: cannot be read as a film"),
        ("IIW_101_The Cap_EN.mp4", "are two masters of production 101 in 'en'; keep one"),
    ],
)
def test_a_file_that_is_no_master_is_refused_by_name(checkout: Path, masters: Path, name: str, sentence: str) -> None:
    (masters / name).write_bytes(b"no film" * 99)
    status, said = reel("build", masters)
    assert status == 1
    assert __import__("re").search(sentence, said), said
    assert not (checkout / "materials/training-data/iiw_english_source_manifest.json").exists()


def test_the_good_masters_are_listed_where_the_bad_ones_may_be_left_out(checkout: Path, masters: Path) -> None:
    (masters / "holiday.mp4").write_bytes(b"x")
    status, said = reel("build", masters, "--leave-out")
    assert (status, len(manifest(checkout)["episodes"])) == (0, 3)
    assert "left out: holiday.mp4" in said


def test_leaving_out_every_master_leaves_no_manifest(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/IIW_205_Locked_EN.mp4").write_text("no film")
    status, said = reel("build", tmp_path / "broken", "--leave-out")
    assert status == 1 and "IIW_205_Locked_EN.mp4: cannot be read as a film" in said, said
    assert not (checkout / "materials/training-data/iiw_english_source_manifest.json").exists()


def one(folder: Path, patterns: Path = PATTERNS) -> Any:
    """Build the manifest of one folder without a checkout."""
    return build(folder, read_patterns(patterns), Hashes(folder.parent / "hashes.jsonl"))


def write_two_pictures(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        streams = []
        for side in (64, 96):
            stream = container.add_stream("libx264", rate=24)
            stream.width = stream.height = side
            stream.pix_fmt = "yuv420p"
            streams.append(stream)
        for stream in streams:
            frame = av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), "rgb24")
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
    return path


def test_bad_masters_are_refused_in_a_sentence(tmp_path: Path, film: Callable[..., Path], sound_file: Path) -> None:
    folder = tmp_path / "masters"
    folder.mkdir()
    (folder / "IIW_201_Empty_EN.mp4").touch()
    shutil.copyfile(sound_file, folder / "IIW_202_Radio_EN.mp4")
    write_two_pictures(folder / "IIW_203_Double_EN.mp4")
    shutil.copyfile(film(SHOTS, "a.mkv"), folder / "IIW_204_Wrapped_EN.mp4")
    shutil.copyfile(film(SHOTS), folder / "IIW_205_Good_EN.mp4")
    content = film([("moving", 90)], "b.mp4").read_bytes()
    (folder / "IIW_206_Short_EN.mp4").write_bytes(content[: len(content) // 2])
    built = one(folder)
    assert [episode["id"] for episode in built.episodes] == ["iiw-205"]
    for part in (
        "IIW_201_Empty_EN.mp4: is empty",
        "IIW_202_Radio_EN.mp4: has no video stream",
        "IIW_203_Double_EN.mp4: has 2 video streams (64x64, 96x96)",
        "IIW_204_Wrapped_EN.mp4: is really matroska, not .mp4; rename it",
        "IIW_206_Short_EN.mp4: cannot be read as a film",
    ):
        assert any(part in sentence for sentence in built.refused), (part, built.refused)
    assert len(built.refused) == 5


def test_a_master_that_may_not_be_read_is_refused(
    tmp_path: Path, film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "masters"
    folder.mkdir()
    shutil.copyfile(film(SHOTS), folder / "IIW_205_Locked_EN.mp4")

    # The tests may run as root, who may read everything.
    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(av, "open", refuse)
    assert one(folder).refused == ["IIW_205_Locked_EN.mp4: may not be read; change its permissions"]


def test_the_last_line_of_progress_says_that_all_of_a_tiny_folder_was_read(masters: Path, checkout: Path) -> None:
    kilobytes = round(sum(file.stat().st_size for file in masters.glob("IIW_*")) / 1000)
    assert 1 <= kilobytes < 1000
    assert f"manifest: {kilobytes}/{kilobytes} kilobytes, " in reel("build", masters)[1]


def test_a_master_that_is_not_the_manifests_is_not_added(checkout: Path, masters: Path) -> None:
    assert reel("build", masters)[0] == 0
    for file in masters.glob("IIW_*"):
        with file.open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            stream.write(b"?")
    status, said = reel("ingest", masters)
    assert (status, said.count("SHA-256 is"), said.count("restore the master")) == (1, 3, 3), said
    assert store.status(manifest(checkout)["episodes"]).missing == ["iiw-101", "iiw-101-fr", "iiw-102"]


def test_accents_are_one_name_however_they_are_spelt(tmp_path: Path, film: Callable[..., Path]) -> None:
    folder = tmp_path / "masters"
    folder.mkdir()
    shutil.copyfile(film(SHOTS), folder / "IIW_301_L'e\u0301te\u0301 des e\u0301cureuils_FR.mp4")
    (episode,) = one(folder).episodes
    assert (episode["title"], episode["id"]) == ("L'été des écureuils", "iiw-301-fr")
    assert store.store_name(episode) == "reel-master-iiw-301-fr.mp4"
    # It is found again under its own spelling, and in a copy of the folder that another system spelt otherwise.
    hashes = Hashes(tmp_path / "hashes.jsonl")
    assert store.status([episode], folder, hashes).altered == {}
    (spelt,) = folder.iterdir()
    spelt.rename(folder / "IIW_301_L'\u00e9t\u00e9 des \u00e9cureuils_FR.mp4")
    hashes.read(folder / "IIW_301_L'\u00e9t\u00e9 des \u00e9cureuils_FR.mp4")
    assert store.status([episode], folder, hashes).altered == {}
    assert store.status([episode], tmp_path, hashes).altered == {"iiw-301-fr": "is not in the folder"}


def test_a_name_in_another_encoding_is_refused(tmp_path: Path, film: Callable[..., Path]) -> None:
    folder = tmp_path / "masters"
    folder.mkdir()
    shutil.copyfile(film(SHOTS), os.fsencode(folder) + "/IIW_301_L'été_FR.mp4".encode("latin-1"))
    assert one(folder).refused == ["IIW_301_L'?t?_FR.mp4: its name, or its folder's, is not UTF-8; rename it"]


def test_a_variable_rate_and_its_streams_are_noted(tmp_path: Path) -> None:
    folder = tmp_path / "masters"
    folder.mkdir()
    write_film(folder / "IIW_302_Uneven_EN.mp4", [("moving", 40)], steps=[1, 2] * 20)
    write_film(folder / "IIW_303_Even_EN.mkv", [("moving", 40)], fps=Fraction(24000, 1001))
    built = one(folder)
    assert [episode["streams"][0]["variable_rate"] for episode in built.episodes] == [True, False]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"patterns": ["IIW_(?P<production>\\d+)"]}, "has no group named 'title'"),
        ({"patterns": ["IIW_("]}, "is no regular expression"),
        ({"examples": ["Nothing.mov"]}, r"Nothing\.mov: its name matches no pattern"),
        ({"suffixes": []}, "suffixes"),
        ({"examples": ["IIW_1_A_EN.mov"]}, "matches no pattern"),
    ],
)
def test_wrong_patterns_are_told_by_name(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    write_json(tmp_path / "patterns.json", {**read_json(PATTERNS), **change})
    with pytest.raises(StageError, match=sentence):
        read_patterns(tmp_path / "patterns.json")


def test_ids_are_plain_whatever_the_production_is_called() -> None:
    assert episode_id("iiw", "101B", "en", "en") == "iiw-101b"
    assert episode_id("iiw", "É 7", "fr", "en") == "iiw-e-7-fr"


def test_a_manifest_that_contradicts_itself_is_refused(checkout: Path, masters: Path) -> None:
    reel("build", masters)
    place = checkout / "materials/training-data/iiw_english_source_manifest.json"
    whole = manifest(checkout)
    for change, sentence in (
        (lambda data: data["episodes"][1]["by_hand"].update(canonical=True), "production 101 has 2 canonical masters"),
        (lambda data: data["smoke_subset"].append("iiw-999"), "there is no episode 'iiw-999'"),
        (lambda data: data["episodes"].append(data["episodes"][0]), "is there twice"),
        (lambda data: data["episodes"][0].pop("sha256"), "'sha256' is a required property"),
    ):
        data = json.loads(json.dumps(whole))
        change(data)
        write_json(place, data)
        status, said = reel("validate")
        assert (status, sentence in said) == (1, True), said
    write_json(place, whole)
    assert reel("validate")[0] == 0


def compared(sha256: dict[str, str], *recurring: tuple[tuple[str, int, int], ...]) -> dict[str, Any]:
    """Return variants.json of masters in which each group of (episode, start, end) recurs."""
    told = {"title": "t", "language": "en", "text": [], "text_language": None}
    groups = [[dict(zip(("episode", "start", "end"), span, strict=True)) for span in group] for group in recurring]
    found = {
        "episodes": {name: {**told, "sha256": digest} for name, digest in sha256.items()},
        "pairs": [],
        "nothing_alike": 0,
        "recurring": [{"keep": first, "drop": others} for first, *others in groups],
    }
    validate(found, "variants", "variants.json")
    return found


def test_what_recurs_is_kept_in_one_episode_that_is_trained_on(checkout: Path, masters: Path) -> None:
    shutil.copyfile(masters / "IIW_102_Rain_EN.mkv", masters / "IIW_103_Snow_EN.mkv")
    with (masters / "IIW_103_Snow_EN.mkv").open("ab") as file:
        file.write(bytes(9))
    assert reel("build", masters)[0] == 0
    sha256 = {episode["id"]: episode["sha256"] for episode in manifest(checkout)["episodes"]}
    assert list(sha256) == ["iiw-101", "iiw-101-fr", "iiw-102", "iiw-103"]
    result, cuts = checkout / "variants.json", checkout / "materials/training-data/cuts"
    opening = (("iiw-101-fr", 0, 9), ("iiw-101", 0, 9), ("iiw-102", 1, 10), ("iiw-103", 2, 11))
    write_json(result, compared(sha256, opening, (("iiw-102", 0, 11), ("iiw-101-fr", 0, 11))))
    by_hand = {"start": 0, "end": 20, "why": "a hair in the gate"}
    cuts.mkdir()
    write_json(cuts / "iiw-103.json", {"sha256": sha256["iiw-103"], "boundaries": [], "keep": [], "drop": [by_hand]})

    status, said = reel("keep-once", result)
    assert (status, "iiw-102.json: 1 added" in said, "iiw-103.json: 0 added" in said) == (0, True, True), said
    # The French master is not trained on, so that it keeps nothing, and loses nothing either.
    assert sorted(file.name for file in cuts.iterdir()) == ["iiw-102.json", "iiw-103.json"]
    written = read_json(cuts / "iiw-102.json")
    assert written["drop"] == [{"start": 1, "end": 10, "why": "recurs, and is kept in iiw-101"}]
    assert read_overrides(cuts / "iiw-102.json", sha256["iiw-102"], 120) == written
    assert read_json(cuts / "iiw-103.json")["drop"] == [by_hand]
    before = {file.name: file.read_bytes() for file in cuts.iterdir()}
    assert reel("keep-once", result)[0] == 0
    assert {file.name: file.read_bytes() for file in cuts.iterdir()} == before

    write_json(result, compared(sha256, (("iiw-101", 0, 10), ("iiw-101-fr", 0, 11))))
    assert reel("keep-once", result) == (0, "no opening or ending recurs in what is trained on\n")

    write_json(result, compared({**sha256, "iiw-102": "0" * 64}, opening))
    status, said = reel("keep-once", result)
    assert (status, "iiw-102: another master was compared than the manifest names" in said) == (1, True), said


def test_without_a_manifest_the_command_says_how_to_make_one(checkout: Path) -> None:
    status, said = reel("status")
    assert (status, "reel manifest build DIR" in said) == (3, True)


def test_status_names_what_is_missing_and_altered(checkout: Path, masters: Path) -> None:
    reel("build", masters)
    with (masters / "IIW_102_Rain_EN.mkv").open("ab") as file:
        file.write(b"more")
    (masters / "IIW_101_The Hat_EN.mp4").unlink()
    status, said = reel("status", masters, "--json")
    found = json.loads(said)
    assert status == 1
    assert found["missing"] == ["iiw-101", "iiw-101-fr", "iiw-102"]
    assert found["altered"]["iiw-101"] == "is not in the folder"
    assert "the manifest says" in found["altered"]["iiw-102"]


def test_the_status_of_a_thousand_masters_reads_none_of_them(checkout: Path, masters: Path, tmp_path: Path) -> None:
    reel("build", masters)
    whole = manifest(checkout)
    pattern, size = whole["episodes"][0], 10 << 30
    folder = tmp_path / "many"
    folder.mkdir()
    whole["episodes"], lines = [], []
    for number in range(1000):
        file = folder / f"IIW_{number}_Long_EN.mp4"
        # Ten gigabytes each, of nothing: reading one would take longer than this whole file of tests.
        with file.open("wb") as stream:
            stream.truncate(size)
        digest = hashlib.sha256(file.name.encode()).hexdigest()
        names = {"id": f"iiw-{number}", "production": str(number), "file": file.name}
        whole["episodes"].append({**pattern, **names, "bytes": size, "sha256": digest})
        lines.append(json.dumps([str(file.resolve()), size, file.stat().st_mtime_ns, digest]))
    write_json(checkout / "materials/training-data/iiw_english_source_manifest.json", whole)
    (tmp_path / "cache/reelgraph/manifest/hashes.jsonl").write_text("\n".join(lines) + "\n")
    os.utime(folder / "IIW_7_Long_EN.mp4", ns=(1, 1))
    found = json.loads(reel("status", folder, "--json")[1])
    assert (len(found["missing"]), list(found["altered"])) == (1000, ["iiw-7"])


def test_the_store_path_is_the_one_that_nix_gives(checkout: Path, masters: Path) -> None:
    reel("build", masters)
    episode = manifest(checkout)["episodes"][0]
    expression = (
        f'(derivation {{ name = "{store.store_name(episode)}"; system = "none"; builder = "none"; '
        f'outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = "{episode["sha256"]}"; }}).outPath'
    )
    said = subprocess.run(
        ["nix-instantiate", "--eval", "--readonly-mode", "--json", "--expr", expression],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(said.stdout) == str(store.store_path(episode))


def test_media_is_kept_out_of_commits(tmp_path: Path, film: Callable[..., Path]) -> None:
    (tmp_path / "renamed.txt").write_bytes(film(SHOTS).read_bytes())
    (tmp_path / "clip.mov").write_bytes(b"anything")
    (tmp_path / "large.bin").write_bytes(bytes(2 << 20))
    (tmp_path / "page.ts").write_text("export const page = 1")
    found = media_among(sorted(tmp_path.iterdir()))
    assert [sentence.split(": ")[0].rsplit("/", 1)[1] for sentence in found] == ["clip.mov", "large.bin", "renamed.txt"]


def test_a_commit_with_media_is_refused(
    tmp_path: Path, film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("nixw", "flake.nix"):
        (root / name).touch()
    subprocess.run(["git", "init", "-q", root], check=True)
    monkeypatch.chdir(root)
    shutil.copyfile(film(SHOTS), root / "clip.bin")
    subprocess.run(["git", "add", "clip.bin"], check=True)
    status, said = reel("guard")
    assert (status, "clip.bin: is media (MP4 or QuickTime)" in said) == (1, True), said
    # What the commit would hold counts, not what lies there by now.
    (root / "clip.bin").write_text("a note")
    assert reel("guard")[0] == 1
    (root / "clip.bin").unlink()
    assert reel("guard")[0] == 1
    subprocess.run(["git", "rm", "-q", "--cached", "clip.bin"], check=True)
    (root / "note.txt").write_text("a note")
    (root / "link.mov").symlink_to("note.txt")
    subprocess.run(["git", "add", "note.txt", "link.mov"], check=True)
    assert reel("guard")[0] == 0
    hook = install_hook(root)
    assert os.access(hook, os.X_OK)
    hook.write_text("another")
    with pytest.raises(StageError, match="is there already"):
        install_hook(root)


def test_outside_git_the_guard_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nixw", "flake.nix"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for arguments in ([], ["--install"]):
        status, said = reel("guard", *arguments)
        assert (status, said) == (3, f"reel: {tmp_path}: is no git checkout; clone the project to commit to it\n")


def test_this_checkout_holds_no_media() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert media_among(ROOT / name for name in listed.split("\0") if name) == []


@pytest.mark.parametrize("command", ["build", "validate", "ingest", "status", "keep-once", "forget", "guard"])
def test_help_fits_a_screen_and_shows_an_example(command: str) -> None:
    status, said = reel(command, "--help")
    assert (status, "Example: reel manifest" in said, len(said.splitlines()) < 30) == (0, True, True)
