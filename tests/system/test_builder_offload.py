"""GPU stages go to a real builder over ssh and come back; what goes wrong with one ends with one clear sentence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from builder_sshd import LoopbackBuilder
from real_nix import ROOT, copy_of_checkout, nixw, output_paths

GPU_STAGES = ("wan22-latents", "wan22-text", "wan22-train", "samples")
LINK = '''"""A link of a chain: what came before and one line more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """The link before."""

    previous: Path | None


@dataclass(frozen=True)
class Parameters:
    """What the line says, and how long it takes."""

    line: str
    seconds: int


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Add a line."""
    before = (inputs.previous / "chain.txt").read_text() if inputs.previous else ""
    for second in range(parameters.seconds):
        print(f"{parameters.line}: second {second}", flush=True)
        time.sleep(1)
    (out / "chain.txt").write_text(before + parameters.line + "\\n")


STAGE = Stage(name="NAME", inputs=Inputs, parameters=Parameters, outputs={}, run=run)
'''
FLAKE = """{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  inputs.toolchain.follows = "nixpkgs";
  outputs =
    { toolchain, ... }:
    let
      inherit (import ./nix { inherit toolchain; system = "x86_64-linux"; }) lib;
      given = builtins.fromJSON (builtins.readFile ./chain.json);
      link = stage: set: previous: lib.mkStage {
        definition = lib.stages.${stage};
        inherit set;
        inputs = { inherit previous; };
        parameters = {
          line = "${set} ${given.nonce}";
          seconds = if set == "third" || set == "beside" then given.seconds else 0;
        };
      };
    in
    {
      lib.x86_64-linux = lib;
      legacyPackages.x86_64-linux.chain = rec {
        first = link "link" "first" null;
        second = link "gpu-link" "second" first;
        third = link "gpu-link" "third" second;
        fourth = link "link" "fourth" third;
        beside = link "gpu-link" "beside" second;
      };
    };
}
"""
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["line", "seconds"],
    "properties": {"line": {"type": "string"}, "seconds": {"type": "integer"}},
}


@dataclass
class User:
    """A user with files of their own: settings, registered builders, a checkout to build in."""

    folder: Path
    checkout: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes Nix and reel use this user's files."""
        return {
            **os.environ,
            "NIX_USER_CONF_FILES": str(self.folder / "nix.conf"),
            "REEL_BUILDER_STATE": str(self.folder / "state"),
            "PYTHONPATH": str(ROOT / "python"),
        }

    def reel(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ``reel builder …`` in the checkout."""
        start = "from reelgraph.cli.main import main; main(prog_name='reel')"
        command = [sys.executable, "-c", start, "builder", *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def register(
        self,
        builder: LoopbackBuilder,
        *more: str,
        name: str = "loop",
        key: str = "user",
        host_key: str = "host.pub",
    ) -> subprocess.CompletedProcess[str]:
        """Register a loopback builder."""
        where = ["--host", builder.address, "--user", "root"]
        keys = ["--key", builder.folder / key, "--host-key", builder.folder / host_key]
        return self.reel("register", name, *where, *keys, *more)

    def chain(self, nonce: str, seconds: int = 0) -> None:
        """Make the chain's links new ones."""
        (self.checkout / "chain.json").write_text(json.dumps({"nonce": nonce, "seconds": seconds}))


@pytest.fixture(scope="module")
def builder(sshd: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackBuilder]:
    """A builder whose store has the Python environments already; a test that changes or ends it starts it again."""
    yield from running(LoopbackBuilder(sshd, tmp_path_factory.mktemp("builder"), f"127.61.{os.getpid() % 250 + 1}.1"))


@pytest.fixture
def second_builder(sshd: Path, tmp_path: Path) -> Iterator[LoopbackBuilder]:
    """Another one."""
    yield from running(LoopbackBuilder(sshd, tmp_path / "second", f"127.61.{os.getpid() % 250 + 1}.2"))


def running(made: LoopbackBuilder) -> Iterator[LoopbackBuilder]:
    """Yield a builder while it runs."""
    made.start()
    yield made
    made.stop()
    # Files are shared with this machine's store, so their modes must not be touched; only root could build them anyway.
    shutil.rmtree(made.store, ignore_errors=True)


@pytest.fixture
def user(tmp_path: Path) -> User:
    """A user whose checkout has the pipeline ``chain``: link, GPU link, GPU link, link."""
    checkout = copy_of_checkout(tmp_path / "checkout")
    for name, cuda in (("link", ""), ("gpu-link", "cuda = true; ")):
        module = name.replace("-", "_")
        (checkout / f"python/reelgraph/stages/{module}.py").write_text(LINK.replace("NAME", name))
        (checkout / f"python/reelgraph/schemas/{name}.parameters.json").write_text(json.dumps(SCHEMA))
        (checkout / f"nix/stages/{name}.nix").write_text(
            f'{{ name = "{name}"; kind = "link"; environment = "runner"; {cuda}inputs.previous.optional = "link"; '
            "schemas = [ ]; modules = [ ]; }\n"
        )
    (checkout / "flake.nix").write_text(FLAKE)
    person = User(tmp_path, checkout)
    person.chain(os.urandom(8).hex())
    (tmp_path / "nix.conf").write_text("# mine\nconnect-timeout = 7\n")
    return person


def sentence(finished: subprocess.CompletedProcess[str]) -> str:
    """Return the one sentence with which a command failed."""
    assert finished.returncode == 1, finished.stdout + finished.stderr
    last = finished.stderr.strip().splitlines()[-1]
    assert last.startswith("reel: ")
    return last


# Registering


def test_register_adds_one_include_to_the_users_own_nix_conf_and_unregister_takes_it_away(
    user: User, builder: LoopbackBuilder
) -> None:
    before = (user.folder / "nix.conf").read_text()
    assert user.register(builder).returncode == 0
    added = [line for line in (user.folder / "nix.conf").read_text().splitlines() if line not in before.splitlines()]
    assert [line.split()[0] for line in added] == ["#", "!include"]
    line = (user.folder / "state/machines").read_text().splitlines()[1]
    assert line.split()[:7] == [
        f"ssh-ng://root@{builder.address}",
        "x86_64-linux",
        str(builder.folder / "user"),
        "1",
        "1",
        "ca-derivations,cuda",
        "cuda",
    ]
    assert user.reel("unregister", "loop").returncode == 0
    assert (user.folder / "nix.conf").read_text() == before


def test_builders_that_were_there_before_stay(user: User, builder: LoopbackBuilder) -> None:
    with (user.folder / "nix.conf").open("a") as file:
        file.write("builders = ssh-ng://somebody@192.0.2.9 x86_64-linux\n")
    assert user.register(builder).returncode == 0
    assert user.register(builder).returncode == 0
    config = (user.folder / "state/nix.conf").read_text().splitlines()[0]
    assert config == f"builders = ssh-ng://somebody@192.0.2.9 x86_64-linux;@{user.folder / 'state/machines'}"


def test_a_wrong_host_key_is_refused(user: User, builder: LoopbackBuilder) -> None:
    said = sentence(user.register(builder, host_key="other-host.pub"))
    assert "shows another host key than the pinned one" in said and builder.address in said
    assert not (user.folder / "state/machines").exists()


def test_a_wrong_key_is_refused(user: User, builder: LoopbackBuilder) -> None:
    assert f"refuses the key {builder.folder / 'other-user'}" in sentence(user.register(builder, key="other-user"))


def test_a_key_that_others_can_read_is_refused(user: User, builder: LoopbackBuilder) -> None:
    shutil.copy(builder.folder / "user", user.folder / "open-key")
    (user.folder / "open-key").chmod(0o644)
    finished = user.register(builder, key=str(user.folder / "open-key"))
    assert finished.returncode == 3 and "others can read or change it" in finished.stderr


def test_a_builder_that_does_not_answer_is_named(user: User, builder: LoopbackBuilder) -> None:
    builder.stop()
    try:
        assert "is not reachable" in sentence(user.register(builder))
    finally:
        builder.start()


def test_nix_releases_apart_are_named(user: User, builder: LoopbackBuilder, newer_nix: Path) -> None:
    programs = builder.folder / "newer"
    programs.mkdir(exist_ok=True)
    (programs / "nix-daemon").unlink(missing_ok=True)
    (programs / "nix-daemon").symlink_to((newer_nix / "nix").resolve())
    builder.stop()
    builder.nix = programs
    builder.start()
    try:
        said = sentence(user.register(builder))
        assert "runs Nix 2.26" in said and "--any-nix-version" in said
        assert user.register(builder, "--any-nix-version").returncode == 0
    finally:
        builder.stop()
        builder.nix = None
        builder.start()


# Building


def test_without_any_builder_a_gpu_target_says_what_to_do(user: User) -> None:
    said = sentence(user.reel("build", ".#chain.fourth"))
    assert "stage second-gpu-link and 1 more need a CUDA builder and none is registered" in said
    assert "docs/builder.md" in said
    assert sentence(user.reel("explain", ".#chain.fourth")) == said


def test_plain_nixw_says_it_too(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIX_USER_CONF_FILES", user.environment["NIX_USER_CONF_FILES"])
    finished = nixw("build", "--no-link", ".#chain.fourth", cwd=user.checkout)
    assert finished.status == 1
    last = finished.log.splitlines()[-1]
    assert "gpu-link and 1 more need a CUDA builder and none is registered" in last and "docs/builder.md" in last


def test_a_failure_that_is_no_builders_fault_is_left_to_nix(user: User) -> None:
    assert user.reel("explain", ".#chain.first").returncode == 0


def test_only_gpu_stages_go_to_the_builder(user: User, builder: LoopbackBuilder) -> None:
    assert user.register(builder).returncode == 0
    finished = user.reel("build", ".#chain.fourth")
    assert finished.returncode == 0, finished.stderr
    places = {
        line.split("-reel-")[1].split(".drv")[0]: "there" if " on 'ssh-ng://" in line else "here"
        for line in finished.stderr.splitlines()
        if line.startswith("building '")
        and ("-link.drv" in line)
        and (" on '" in line or "first" in line or "fourth" in line)
    }
    assert places == {
        "first-link": "here",
        "second-gpu-link": "there",
        "third-gpu-link": "there",
        "fourth-link": "here",
    }
    assert len((Path(finished.stdout.split()[0]) / "chain.txt").read_text().splitlines()) == 4


def test_after_register_a_plain_build_is_one_command_and_copies_inputs_once(
    user: User, builder: LoopbackBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert user.register(builder).returncode == 0
    monkeypatch.setenv("NIX_USER_CONF_FILES", user.environment["NIX_USER_CONF_FILES"])
    finished = nixw("build", "--no-link", ".#chain.fourth", cwd=user.checkout)
    assert finished.status == 0, finished.log
    lines = finished.log.splitlines()
    sent = [line.split("'")[1] for line in lines if line.startswith("copying path") and "' to '" in line]
    assert len(sent) == len(set(sent)) and any("first-link" in path for path in sent)


def test_several_builders_are_several_lines(
    user: User, builder: LoopbackBuilder, second_builder: LoopbackBuilder
) -> None:
    user.chain(os.urandom(8).hex(), seconds=6)
    assert user.register(builder).returncode == 0
    assert user.register(second_builder, name="other").returncode == 0
    finished = user.reel("build", ".#chain.third", ".#chain.beside")
    assert finished.returncode == 0, finished.stderr
    assert f"on 'ssh-ng://root@{builder.address}'" in finished.stderr
    assert f"on 'ssh-ng://root@{second_builder.address}'" in finished.stderr


def test_with_there_only_what_was_asked_for_comes_back(user: User, builder: LoopbackBuilder) -> None:
    assert user.register(builder).returncode == 0
    finished = user.reel("build", "--there", ".#chain.fourth")
    assert finished.returncode == 0, finished.stderr
    path = finished.stdout.split()[0]
    assert len((Path(path) / "chain.txt").read_text().splitlines()) == 4
    back = [line for line in finished.stderr.splitlines() if line.startswith("copying path") and "' from '" in line]
    assert [line.split("-reel-")[1].split("'")[0] for line in back] == ["fourth-link"]
    again = nixw("build", "--no-link", f"path:{user.checkout}#chain.fourth")
    assert (again.status, again.built_stages) == (0, []), "what came back must be known as built"


def test_a_builder_that_dies_in_the_middle_loses_only_the_running_stage(user: User, builder: LoopbackBuilder) -> None:
    user.chain(os.urandom(8).hex(), seconds=8)
    assert user.register(builder).returncode == 0
    start = "from reelgraph.cli.main import main; main(prog_name='reel')"
    command = [sys.executable, "-c", start, "builder", "build", ".#chain.fourth"]
    process = subprocess.Popen(
        command, cwd=user.checkout, env=user.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    log = []
    for line in process.stderr:
        log.append(line)
        if "third" in line and "second 1" in line:
            builder.stop()
    try:
        assert process.wait(60) == 1
        assert "the connection to builder 'loop' broke during the build" in log[-1] and "is not reachable" in log[-1]
        assert "the same command goes on from there" in log[-1]
    finally:
        builder.start()
    again = user.reel("build", ".#chain.third")
    assert again.returncode == 0, again.stderr
    assert "second-gpu-link.drv' on" not in again.stderr and "third-gpu-link.drv' on" in again.stderr


def test_a_builder_with_another_host_key_than_when_it_was_registered_gets_nothing(
    user: User, builder: LoopbackBuilder
) -> None:
    assert user.register(builder).returncode == 0
    builder.stop()
    builder.start("other-host")
    try:
        assert "shows another host key than the pinned one" in sentence(user.reel("build", ".#chain.fourth"))
    finally:
        builder.stop()
        builder.start()


def test_a_builder_without_cuda_says_what_to_set(user: User, builder: LoopbackBuilder) -> None:
    assert user.register(builder).returncode == 0
    builder.stop()
    builder.features = "ca-derivations"
    builder.start()
    try:
        assert "builder 'loop' does not offer 'cuda'" in sentence(user.reel("build", ".#chain.fourth"))
    finally:
        builder.stop()
        builder.features = "ca-derivations cuda"
        builder.start()


# Validation


def test_validation_fails_loudly_where_the_sandbox_has_no_driver(user: User, builder: LoopbackBuilder) -> None:
    assert user.register(builder).returncode == 0
    said = sentence(user.reel("validate"))
    assert "has no usable GPU" in said and "/run/opengl-driver is not in the sandbox" in said


def test_validation_sees_the_folder_that_the_builder_maps_and_refuses_a_fake_driver(
    user: User, builder: LoopbackBuilder
) -> None:
    fake = builder.folder / "fake-driver"
    (fake / "lib").mkdir(parents=True, exist_ok=True)
    (fake / "lib/libcuda.so.1").write_text("this is a fake driver\n")
    builder.stop()
    builder.settings = f"extra-sandbox-paths = /run/opengl-driver={fake} /dev/nvidiactl? /dev/nvidia0?\n"
    builder.start()
    try:
        assert user.register(builder).returncode == 0
        said = sentence(user.reel("validate"))
        assert "libcuda.so.1 cannot be loaded from /run/opengl-driver/lib" in said and "file too short" in said
    finally:
        builder.stop()
        builder.settings = ""
        builder.start()


def test_validation_notices_a_builder_that_takes_what_needs_no_gpu(
    user: User, builder: LoopbackBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reelgraph.builder import machines, validate
    from reelgraph.errors import StageError

    public = (builder.folder / "host.pub").read_text()
    everything = machines.Builder("loop", builder.address, "root", str(builder.folder / "user"), public, 1)
    monkeypatch.chdir(user.checkout)
    monkeypatch.setattr(machines, "MANDATORY", "-")
    with pytest.raises(StageError, match="took a job that needs no GPU"):
        validate.validate_builder(everything, any_version=False)


# The smoke pipeline


@pytest.fixture(scope="module")
def equipped(smoke: Path, builder: LoopbackBuilder) -> LoopbackBuilder:
    """The builder with the Python environments of GPU stages in its store, as from a cache: they are gigabytes."""
    builder.adopt(output_paths([f"lib.x86_64-linux.python.environments.{name}" for name in ("train", "runner")]))
    return builder


@pytest.fixture(scope="module")
def smoke_on_builder(equipped: LoopbackBuilder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The smoke job whose GPU stages want ``cuda``, built with the loopback builder; its output and Nix's log."""
    folder = tmp_path_factory.mktemp("smoke-user")
    checkout = copy_of_checkout(folder / "checkout")
    for stage in GPU_STAGES:
        definition = checkout / f"nix/stages/{stage}.nix"
        text = definition.read_text()
        if "cuda = true" not in text:
            definition.write_text(text.replace(f'name = "{stage}";', f'name = "{stage}";\n  cuda = true;', 1))
        # A comment makes the stage a new one, so that it is built here and now, and must not change its bytes.
        script = checkout / f"python/reelgraph/stages/{stage.replace('-', '_')}.py"
        script.write_text(f"{script.read_text()}# {os.urandom(8).hex()}\n")
    person = User(folder, checkout)
    assert person.register(equipped).returncode == 0
    finished = person.reel("build", ".#wan22-smoke")
    assert finished.returncode == 0, finished.stderr[-3000:]
    yield Path(finished.stdout.split()[0]), finished.stderr


def test_gpu_stages_of_the_smoke_job_are_built_on_the_builder_and_the_rest_here(
    smoke_on_builder: tuple[Path, str],
) -> None:
    _, log = smoke_on_builder
    there = {
        line.split("-reel-")[1].split(".drv")[0]
        for line in log.splitlines()
        if line.startswith("building '") and "' on 'ssh-ng" in line
    }
    assert there and all(name.endswith(GPU_STAGES) for name in there)
    assert {"smoke-segment-0-wan22-train", "smoke-segment-2-wan22-train"} <= there


def test_the_smoke_job_built_on_the_builder_has_the_same_bytes(smoke: Path, smoke_on_builder: tuple[Path, str]) -> None:
    path, _ = smoke_on_builder
    assert path == smoke


def test_a_gpu_stage_that_finds_no_gpu_fails_at_once(equipped: LoopbackBuilder, tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "gpu")
    definition = checkout / "nix/stages/wan22-latents.nix"
    definition.write_text(
        definition.read_text().replace('name = "wan22-latents";', 'name = "wan22-latents";\n  cuda = true;', 1)
    )
    smoke = checkout / "nix/pipelines/smoke.nix"
    text = smoke.read_text()
    start = text.index("wan22-latents = {")
    smoke.write_text(text[:start] + text[start:].replace('device = "cpu";', 'device = "cuda";', 1))
    person = User(tmp_path, checkout)
    assert person.register(equipped).returncode == 0
    started = time.monotonic()
    finished = person.reel("build", ".#smoke.episodes.big-buck-bunny-excerpt.latents")
    assert finished.returncode == 1
    assert "no CUDA device is there" in finished.stderr and "' on 'ssh-ng" in finished.stderr
    assert "latents: 1/" not in finished.stderr, f"worked for {time.monotonic() - started:.0f} s without a GPU"
