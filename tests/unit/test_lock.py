"""`reel lock` with the real pip, on a folder of made-up wheels instead of a package index."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from reelgraph.cli.lock import command, resolve


def wheel(folder: Path, name: str, version: str, needs: str = "") -> str:
    """Write a wheel that holds nothing; return its line in a list."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    information = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{information}/METADATA",
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            + (f"Requires-Dist: {needs}\n" if needs else ""),
        )
        archive.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{information}/RECORD", "")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


class Project:
    """A pyproject.toml, its lists, and the wheels that there are."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.wheels = folder, folder / "wheels"
        self.wheels.mkdir()

    def wants(self, *requirements: str) -> None:
        """Write the one dependency group, 'stage'."""
        listed = ", ".join(f'"{requirement}"' for requirement in requirements)
        (self.folder / "pyproject.toml").write_text(f"[dependency-groups]\nstage = [{listed}]\n")

    def lock(self, *arguments: str) -> tuple[int, str]:
        """Run ``reel lock``; return its exit status and what it said."""
        found = CliRunner().invoke(command, [*arguments, str(self.folder)])
        return found.exit_code, str(found.exception) if found.exit_code else found.stdout

    @property
    def listed(self) -> list[str]:
        """The lines of the group's list."""
        return (self.folder / "locks/x86_64-linux/stage.txt").read_text().splitlines()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.wheels))
    return made


def test_what_is_needed_is_listed_with_its_hash_and_what_is_added_changes_nothing_else(project: Project) -> None:
    camera, lens = wheel(project.wheels, "camera", "1.0", "lens"), wheel(project.wheels, "lens", "1.0")
    project.wants("camera")
    assert project.lock() == (0, "+ camera==1.0\n+ lens==1.0\n") and project.listed == [camera, lens]
    for name in ("camera", "lens"):
        wheel(project.wheels, name, "2.0")
    tripod = wheel(project.wheels, "tripod", "1.0")
    project.wants("camera", "tripod")
    assert project.lock() == (0, "+ tripod==1.0\n") and project.listed == [camera, lens, tripod]
    assert project.lock() == (0, "nothing changed\n")


def test_how_far_pip_is_is_told_package_by_package(project: Project) -> None:
    wheel(project.wheels, "camera", "1.0", "Lens_cap")
    wheel(project.wheels, "lens_cap", "1.0")
    project.wants("camera")
    heard: list[str] = []
    assert resolve(["camera"], [], heard.append).keys() == {"camera", "lens-cap"}
    assert heard == ["camera", "lens-cap"]
    said = CliRunner().invoke(command, [str(project.folder)]).stderr
    assert said.startswith("resolve with pip: 2/2 packages, ") and said.count("\n") == 1


def test_a_package_that_is_named_or_bound_anew_is_upgraded_alone(project: Project) -> None:
    wheel(project.wheels, "camera", "1.0")
    lens = wheel(project.wheels, "lens", "1.0")
    project.wants("camera", "lens")
    project.lock()
    camera, newer = wheel(project.wheels, "camera", "2.0"), wheel(project.wheels, "lens", "2.0")
    assert project.lock("--upgrade", "Camera") == (0, "- camera==1.0\n+ camera==2.0\n")
    assert project.listed == [camera, lens]
    project.wants("camera", "lens>1")
    assert project.lock() == (0, "- lens==1.0\n+ lens==2.0\n") and project.listed == [camera, newer]


def test_a_locked_package_in_the_way_is_an_error_that_says_how_to_go_on(project: Project) -> None:
    wheel(project.wheels, "lens", "1.0")
    project.wants("lens")
    project.lock()
    before = project.listed
    wheel(project.wheels, "camera", "1.0", "lens>1")
    wheel(project.wheels, "lens", "2.0")
    project.wants("camera", "lens")
    status, said = project.lock()
    assert status and "reel lock --upgrade NAME" in said and project.listed == before
    assert project.lock("--upgrade", "lens")[0] == 0
    status, said = project.lock("--upgrade", "flash")
    assert status and "--upgrade flash" in said
