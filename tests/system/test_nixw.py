"""nixw: from any directory, as root or as a user with a daemon, and one sentence where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from real_nix import ROOT, copy_of_checkout, nixw
from together import alone

TOOLS = (
    "sh",
    "cat",
    "cksum",
    "cp",
    "cut",
    "dirname",
    "id",
    "ldconfig",
    "mkdir",
    "mktemp",
    "rm",
    "sed",
    "timeout",
    "touch",
    "tr",
)
RUNNER = "lib.x86_64-linux.python.environments.runner"


def run(path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run nixw with only the tools of ``path``, and a cache of its own."""
    environment = {"PATH": str(path), "HOME": str(path), **variables}
    return subprocess.run([ROOT / "nixw", *arguments], env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of plain tools, without nix and apt-get."""
    for tool in TOOLS:
        found = shutil.which(tool, path=f"{os.environ['PATH']}:/sbin:/usr/sbin")
        assert found, tool
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def test_without_nix_and_apt_it_says_how_to_install_nix(bare: Path) -> None:
    finished = run(bare, "build")
    assert finished.returncode == 3
    assert finished.stderr == (
        "nixw: Nix is not installed; install Nix 2.8 or newer from https://nixos.org/download and run this again\n"
    )


def test_without_nixpkgs_and_python_it_says_so(bare: Path) -> None:
    (bare / "nix").symlink_to(shutil.which("nix") or "nix")
    finished = run(bare, "build", NIXW_TOOLCHAIN="embedded")
    assert finished.returncode == 3
    assert finished.stderr.startswith("nixw: neither nixpkgs nor a distribution's CPython 3.11 can be had here")


def looked_for(what: str, path: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have nixw's own function look for a part of the toolchain on a machine that has it not installed."""
    script = '. "$1/nix/toolchain/embedded/install.sh"; "$3" "$2/none" "$2"'
    command = ["sh", "-c", script, "sh", ROOT, folder, what]
    with alone():
        return subprocess.run(command, env={"PATH": str(path)}, capture_output=True, text=True, check=False)


def test_the_headers_of_python_are_fetched_where_they_are_not_installed(tmp_path: Path) -> None:
    finished = looked_for("python_include", os.environ["PATH"], tmp_path)
    assert finished.returncode == 0, finished.stderr
    include = Path(finished.stdout.strip())
    assert (include / "python3.11/Python.h").is_file() and list(include.glob("*/python3.11/pyconfig.h"))


def test_the_libraries_of_a_desktop_are_fetched_where_they_are_not_installed(tmp_path: Path) -> None:
    finished = looked_for("desktop_libraries", os.environ["PATH"], tmp_path)
    assert finished.returncode == 0, finished.stderr
    seed = (ROOT / "nix/toolchain/embedded/seed.sh").read_text()
    copied = seed.partition('mkdir "$1/desktop"\nfor name in ')[2].partition(";")[0]
    names = copied.replace("\\", "").split()
    assert len(names) > 10
    assert [name for name in names if not (Path(finished.stdout.strip()) / name).is_file()] == []


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("python_include", "the headers of CPython 3.11 cannot be had here; install libpython3.11-dev"),
        (
            "desktop_libraries",
            "the libraries of glib and X11 cannot be had here; install libglib2.0-0, libxext6 and libxrender1",
        ),
    ],
)
def test_without_a_part_of_the_toolchain_and_apt_it_says_so(bare: Path, what: str, sentence: str) -> None:
    finished = looked_for(what, bare, bare)
    assert finished.returncode == 3
    assert finished.stderr.splitlines()[1:] == [f"nixw: {sentence}, or make nixpkgs reachable"]


def test_an_unknown_toolchain_is_named(bare: Path) -> None:
    (bare / "nix").symlink_to(shutil.which("nix") or "nix")
    finished = run(bare, "build", NIXW_TOOLCHAIN="conda")
    assert (finished.returncode, finished.stderr) == (
        3,
        "nixw: NIXW_TOOLCHAIN is 'conda'; expected nixpkgs or embedded\n",
    )


def test_a_folder_that_this_nix_cannot_name_is_named(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "Ma série")
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    finished = nixw("eval", "--raw", ".#smoke.bundle.name", cwd=checkout)
    said = f"nixw: this Nix reads no git checkout in a folder with spaces or accents in its name ({checkout}); move it"
    assert finished.output == "reel-smoke-bundle" or (finished.status == 3 and said in finished.log), finished.log


def test_a_folder_without_git_is_said_to_be_copied_as_a_whole(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "unpacked")
    finished = nixw("eval", "--raw", ".#smoke.bundle.name", cwd=checkout)
    assert finished.output == "reel-smoke-bundle"
    assert f"nixw: {checkout} is no git checkout, so Nix copies all that lies in it" in finished.log
    assert "no git checkout" not in nixw("eval", "--raw", ".#smoke.bundle.name").log


def test_it_works_from_any_directory_and_passes_the_status_on() -> None:
    assert nixw("eval", "--raw", f"{ROOT}#smoke.bundle.name", cwd=ROOT / "docs").output == "reel-smoke-bundle"
    assert nixw("eval", f"{ROOT}#no-such-thing", cwd=ROOT / "docs").status == 1


def developing(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run `nixw develop` in a folder of the checkout, with lines typed into the shell that it opens."""
    command = [ROOT / "nixw", "develop", *arguments]
    environment = {**os.environ, "SHELL": "/bin/sh", "NIXW_TOOLCHAIN": "embedded"}
    return subprocess.run(
        command, cwd=ROOT / "docs", env=environment, input=typed, capture_output=True, text=True, check=False
    )


def test_develop_opens_a_shell_with_the_reel_of_the_checkout_and_the_python_of_its_tests() -> None:
    finished = developing(
        typed="reel --help\npython -c 'import pytest, reelgraph; print(reelgraph.__file__)'\nexit 7\n"
    )
    assert finished.returncode == 7, finished.stderr
    assert "Usage: reel " in finished.stdout and str(ROOT / "python/reelgraph/__init__.py") in finished.stdout
    asked = developing("--command", "sh", "-c", "command -v reel && exit 5")
    assert (asked.returncode, Path(asked.stdout.strip()).name) == (5, "reel")


def test_the_python_of_a_persons_own_bashrc_comes_behind_that_of_the_tests(tmp_path: Path) -> None:
    (tmp_path / ".bashrc").write_text(f'PATH="{tmp_path}:$PATH" mine=kept\n')
    (tmp_path / "python").write_text("#!/bin/sh\n")
    (tmp_path / "python").chmod(0o755)
    finished = subprocess.run(
        ["script", "--quiet", "--command", f"{ROOT}/nixw develop", "/dev/null"],
        cwd=ROOT,
        env={**os.environ, "HOME": str(tmp_path), "SHELL": shutil.which("bash") or "bash"},
        input="command -v python; echo $mine; exit\n",
        capture_output=True,
        text=True,
        check=False,
    )
    said = finished.stdout.splitlines()
    assert any(line.endswith("-reel-python-test/bin/python") for line in said) and "kept" in said, finished.stdout


@pytest.mark.parametrize("arguments", [(".#smoke",), ("--command",)])
def test_develop_says_what_it_takes(arguments: tuple[str, ...]) -> None:
    finished = developing(*arguments)
    said = f"shell: takes nothing, or --command PROGRAM ARGUMENTS; '{arguments[0]}' is neither\n"
    assert finished.returncode == 2 and finished.stderr.endswith(said), finished.stderr


@pytest.mark.parametrize("arguments", [(), ("nowhere",)])
def test_a_bench_that_is_not_there_is_named(arguments: tuple[str, ...]) -> None:
    finished = nixw("run", ".#bench", "--", *arguments)
    said = f"bench: there is no '{''.join(arguments)}'; name a file of tests/bench without its .py\n"
    assert finished.status == 2 and finished.log.endswith(said)


def test_a_user_with_a_daemon_builds_too(tmp_path: Path, checkout: Path) -> None:
    socket = tmp_path / "daemon"
    features = "extra-experimental-features = nix-command flakes ca-derivations\n"
    settings = f"{features}sandbox = true\nsandbox-paths =\nbuild-users-group =\nsubstituters =\n"
    variables = {**os.environ, "NIX_DAEMON_SOCKET_PATH": str(socket)}
    daemon = subprocess.Popen(["nix-daemon"], env={**variables, "NIX_CONFIG": settings}, stderr=subprocess.DEVNULL)
    try:
        while not socket.exists():
            assert daemon.poll() is None, "nix-daemon ended"
            time.sleep(0.1)
        home = tmp_path / "home"
        home.mkdir()
        # Up to the folder of all temporary files, which others may enter already.
        above = [path for path in tmp_path.parents if path.is_relative_to(tempfile.gettempdir())][:-1]
        for path in (home, checkout, *checkout.rglob("*"), tmp_path, *above):
            path.chmod(0o755)
        shutil.chown(home, "nobody")
        finished = subprocess.run(
            [
                *("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"),
                *(f"{checkout}/nixw", "build", "--no-link", f"path:{checkout}#{RUNNER}"),
            ],
            env={**variables, "NIX_REMOTE": "daemon", "NIX_CONFIG": "", "HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
    finally:
        daemon.terminate()
        daemon.wait()
