"""Installing a rented machine: whom one talks to is proven first, and nothing runs past its deadline.

The rescue system is a real sshd on loopback. nixos-anywhere itself cannot run here; a stand-in script takes its place
and says so in its name. What it is given, and what happens when it fails or hangs, is real.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from builder_desk import Office, open_office
from builder_sshd import LoopbackBuilder

from reelgraph.builder import install as install_module
from reelgraph.builder import rescue as rescue_module
from reelgraph.builder import wait as wait_module
from reelgraph.builder.clock import Clock, Deadline
from reelgraph.builder.desk import Desk
from reelgraph.builder.install import install, run_with_deadline
from reelgraph.builder.keys import make_key, md5_fingerprint, read_key, sha256_fingerprint
from reelgraph.builder.lease import Lease
from reelgraph.builder.machines import Builder
from reelgraph.builder.rescue import check_rescue_key, describe_machine, survey
from reelgraph.builder.ssh import BuilderError, Target, ssh_command
from reelgraph.builder.wait import wait
from reelgraph.errors import StageError

SURVEY = """
disk /dev/disk/by-id/ata-OLD_4TB_1 7814037168 1
disk /dev/disk/by-id/nvme-BIG_2TB_1 3750748848 0
disk /dev/disk/by-id/nvme-SMALL_500GB_1 937703088 0
nic 02:00:00:00:00:07
firmware uefi
ipv6 2001:db8:1::2/64
"""


class SleepingClock(Clock):
    """Time that passes only while somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.slept = 0.0

    def monotonic(self) -> float:
        """Return the seconds slept."""
        return self.slept

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept += seconds


class DeadlineAtWork(Deadline):
    """A deadline that passes as soon as a file has a first line."""

    def __init__(self, sign: Path) -> None:
        super().__init__(SleepingClock(), 0)
        self._sign = sign

    @property
    def left(self) -> float:
        """Nothing, once the file has its line."""
        while not self._sign.exists() or "\n" not in self._sign.read_text():
            time.sleep(0.01)
        return super().left


class Rescue(LoopbackBuilder):
    """The rescue system: a login shell for the key that was ordered with; later the installed builder."""

    def start_rescue(self, public_key: str) -> None:
        """Start sshd as the rescue system does, with a shell for one key."""
        self.start()
        (self.folder / "authorized_keys").write_text(public_key + "\n")


@pytest.fixture
def rescue(sshd: Path, tmp_path: Path) -> Iterator[Rescue]:
    """A rescue system that is not started yet."""
    made = Rescue(sshd, tmp_path / "rescue", f"127.62.{os.getpid() % 250 + 1}.1")
    yield made
    made.stop()


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """An office whose machines are ready at once."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(wait_module, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(rescue_module, "_SURVEY", f"cat <<'END'\n{SURVEY}END\n")
    monkeypatch.setattr(install_module, "BUILD_USER", "root")
    with open_office(tmp_path / "office") as opened:
        opened.account.ready_after = opened.account.listed_after = timedelta(0)
        yield opened


def rent(office: Office, rescue: Rescue, host_key: str = "host.pub", clock: Clock | None = None) -> tuple[Desk, Lease]:
    """Rent the loopback machine; the provider reports the fingerprint of ``host_key``."""
    office.account.rescue_host_keys = [md5_fingerprint((rescue.folder / host_key).read_text())]
    desk = replace(office.desk(), clock=clock or Clock())
    lease = wait(office.desk(), office.rent(), 10)
    office.account.machines[3052441].address = rescue.address
    lease.address = rescue.address
    rescue.start_rescue(read_key(desk.keys(lease.id) / "id_ed25519").public)
    return desk, lease


def stand_in(folder: Path, text: str) -> list[str]:
    """Write a script in nixos-anywhere's place and return the command that runs it."""
    script = folder / "stand-in-for-nixos-anywhere"
    script.write_text(f"#!/bin/sh\nset -eu\n{text}\n")
    script.chmod(0o755)
    return [str(script)]


def test_the_builder_is_installed_with_a_key_that_was_made_beforehand(
    office: Office, rescue: Rescue, tmp_path: Path
) -> None:
    desk, lease = rent(office, rescue)
    given = tmp_path / "given"
    # The stand-in "reboots": the key from the extra files becomes the host key, the shell becomes Nix and nothing else.
    reboot = f"""
        printf '%s\\n' "$@" > {given}
        mkdir {given}.flake {given}.extra
        flake=${{2#path:}}
        cp ${{flake%#*}}/* {given}.flake/
        while [ "$1" != --extra-files ]; do shift; done
        cp -a "$2/." {given}.extra/
        install -m 600 "$2/etc/ssh/ssh_host_ed25519_key" {rescue.folder}/installed
        touch {rescue.folder}/reboot
        while [ -e {rescue.folder}/reboot ]; do sleep 0.1; done
    """

    def restart() -> None:
        while not (rescue.folder / "reboot").exists():
            time.sleep(0.05)
        rescue.start("installed")
        key = read_key(desk.keys(lease.id) / "id_ed25519").public
        (rescue.folder / "authorized_keys").write_text(f'restrict,command="{rescue.folder / "forced-command"}" {key}\n')
        (rescue.folder / "reboot").unlink()

    thread = threading.Thread(target=restart, daemon=True)
    thread.start()
    builder = install(desk, lease, minutes=10, command=stand_in(tmp_path, reboot), rescue=False)
    thread.join()
    arguments = given.read_text().split()
    assert arguments[arguments.index("--target-host") + 1] == f"root@{rescue.address}"
    assert arguments[arguments.index("-i") + 1] == str(desk.keys(lease.id) / "id_ed25519")
    private = Path(f"{given}.extra/etc/ssh/ssh_host_ed25519_key")
    assert private.stat().st_mode & 0o777 == 0o600
    public = Path(f"{given}.extra/etc/ssh/ssh_host_ed25519_key.pub").read_text()
    assert builder.host_key == " ".join(public.split()[:2])
    machine = json.loads(Path(f"{given}.flake/machine.json").read_text())
    assert (machine["gpu"], machine["disk"], machine["mac"]) == (
        "rtx-6000-ada",
        "/dev/disk/by-id/nvme-BIG_2TB_1",
        "02:00:00:00:00:07",
    )
    assert "PRIVATE" not in "".join(path.read_text() for path in Path(f"{given}.flake").iterdir())
    assert desk.lease(lease.id).installed


def test_an_installation_that_was_ended_before_it_could_say_so_is_not_repeated(
    office: Office, rescue: Rescue, tmp_path: Path
) -> None:
    desk, lease = rent(office, rescue)
    folder = desk.keys(lease.id)
    host_key = make_key(folder, "ssh_host_ed25519_key")
    (rescue.folder / "installed").write_bytes(host_key.private.read_bytes())
    (rescue.folder / "installed").chmod(0o600)
    rescue.start("installed")
    forced = f'restrict,command="{rescue.folder / "forced-command"}"'
    (rescue.folder / "authorized_keys").write_text(f"{forced} {read_key(folder / 'id_ed25519').public}\n")
    builder = install(desk, lease, minutes=10, command=stand_in(tmp_path, "exit 9"), rescue=False)
    assert builder.host_key == " ".join(host_key.public.split()[:2]) and desk.lease(lease.id).installed


def test_a_machine_with_another_host_key_than_the_provider_reports_gets_nothing(
    office: Office, rescue: Rescue, tmp_path: Path
) -> None:
    desk, lease = rent(office, rescue, host_key="other-host.pub")
    ran = tmp_path / "ran"
    with pytest.raises(BuilderError, match="shows none of the host keys that the provider reports"):
        install(desk, lease, minutes=10, command=stand_in(tmp_path, f"touch {ran}"), rescue=False)
    assert not ran.exists()
    assert "Accepted publickey" not in (rescue.folder / "sshd.log").read_text()


def test_without_a_reported_host_key_nothing_is_sent(office: Office, rescue: Rescue, tmp_path: Path) -> None:
    desk, lease = rent(office, rescue)
    lease.rescue_host_keys = ()
    with pytest.raises(StageError, match=r"reported no host key .* install --rescue"):
        install(desk, lease, minutes=1, command=stand_in(tmp_path, "exit 0"), rescue=False)


def test_rescue_starts_the_rescue_system_anew_without_a_technician(
    office: Office, rescue: Rescue, tmp_path: Path
) -> None:
    desk, lease = rent(office, rescue)
    lease.rescue_host_keys = ()
    with pytest.raises(StageError, match="failed with status 9"):
        install(desk, lease, minutes=10, command=stand_in(tmp_path, "exit 9"), rescue=True)
    assert office.account.rescues == [3052441] and office.account.resets == [(3052441, "hw")]


def test_a_machine_that_only_a_technician_can_reset_is_said(office: Office, rescue: Rescue) -> None:
    office.account.reset_types = ["man"]
    with pytest.raises(StageError, match="no reset without a technician"):
        office.desk().provider.reset(3052441)
    assert office.account.resets == []


@pytest.mark.parametrize("form", [md5_fingerprint, lambda key: f"MD5:{md5_fingerprint(key)}", sha256_fingerprint])
def test_a_host_key_is_known_by_every_form_of_its_fingerprint(rescue: Rescue, form: object) -> None:
    rescue.start()
    public = (rescue.folder / "host.pub").read_text()
    shown = check_rescue_key(rescue.address, [form(public)])  # type: ignore[operator]
    assert shown.split()[:2] == public.split()[:2]


def test_an_installation_that_hangs_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    started = tmp_path / "started"
    command = stand_in(tmp_path, f"sleep 600 &\necho $! > {started}\nsleep 600")
    with pytest.raises(StageError, match="the installation did not end in time and was stopped"):
        run_with_deadline(command, DeadlineAtWork(started), "the installation")
    status = Path(f"/proc/{started.read_text().strip()}/stat")
    patience = Deadline(Clock(), 60)
    with suppress(FileNotFoundError, ProcessLookupError):
        # A process that was killed may wait to be reaped.
        while status.read_text().rsplit(")", 1)[1].split()[0] != "Z":
            assert patience.wait(0.01), "what it started goes on"


def test_an_installation_that_fails_says_so(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="the installation failed with status 3"):
        run_with_deadline(stand_in(tmp_path, "exit 3"), Deadline(Clock(), 60), "the installation")


def test_a_machine_that_does_not_come_back_is_named(office: Office, rescue: Rescue, tmp_path: Path) -> None:
    # Time passes while the machine is waited for, and not before.
    desk, lease = rent(office, rescue, clock=SleepingClock())
    with pytest.raises(BuilderError, match="did not answer in time: builder"):
        install(desk, lease, minutes=1, command=stand_in(tmp_path, "exit 0"), rescue=False)
    assert not desk.lease(lease.id).installed


def test_a_survey_of_a_real_system_is_understood_or_refused_in_a_sentence(rescue: Rescue) -> None:
    rescue.start_rescue((rescue.folder / "user.pub").read_text())
    target = Target(rescue.address, "root", rescue.folder / "user", (rescue.folder / "host.pub").read_text())
    try:
        machine = survey(target, "l4", ["ssh-ed25519 AAAA"])
        assert machine.disk.startswith("/dev/disk/by-id/")
    except BuilderError as error:
        assert "the rescue system names no" in str(error)


def test_the_biggest_disk_that_does_not_rotate_is_taken() -> None:
    machine = describe_machine(SURVEY, "l4", ["key"])
    assert (machine.disk, machine.firmware, machine.ipv6) == (
        "/dev/disk/by-id/nvme-BIG_2TB_1",
        "uefi",
        "2001:db8:1::2/64",
    )


@pytest.mark.parametrize("missing", ["disk", "nic", "firmware"])
def test_a_machine_without_disk_network_or_firmware_is_refused(missing: str) -> None:
    text = "\n".join(line for line in SURVEY.splitlines() if not line.startswith(missing))
    with pytest.raises(BuilderError, match="the rescue system names no"):
        describe_machine(text, "l4", ["key"])


def test_the_command_that_runs_is_the_pinned_one() -> None:
    words = shlex.split(install_module.NIXOS_ANYWHERE)
    assert words[:2] == ["nix", "run"] and len(words[2].rsplit("/", 1)[1]) == 40 and words[-1] == "--"


def test_only_nix_is_allowed_on_the_installed_builder(rescue: Rescue) -> None:
    rescue.start()
    builder = Builder(
        "loop", rescue.address, "root", str(rescue.folder / "user"), (rescue.folder / "host.pub").read_text(), 1
    )
    with ssh_command(builder.target, 10) as command:
        finished = subprocess.run([*command, "cat", "/etc/hostname"], capture_output=True, text=True, check=False)
    assert finished.returncode != 0 and finished.stdout == ""
