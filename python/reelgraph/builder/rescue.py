"""A rented machine in its rescue system: whether it is the provider's, and what it is made of."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from reelgraph.builder.keys import fingerprints
from reelgraph.builder.nix import nix_version
from reelgraph.builder.ssh import BuilderError, Target, explain_ssh, ssh_command
from reelgraph.errors import StageError

_SURVEY_SECONDS = 120
_SURVEY = """
for disk in /dev/disk/by-id/*; do
  case $disk in *-part*|*/wwn-*|*/nvme-eui.*|*/nvme-uuid.*|*/md-*|*/dm-*) continue ;; esac
  device=$(readlink -f "$disk")
  name=${device##*/}
  [ -e "/sys/block/$name/size" ] || continue
  echo "disk $disk $(cat "/sys/block/$name/size") $(cat "/sys/block/$name/queue/rotational")"
done
for nic in /sys/class/net/*; do
  [ -e "$nic/device" ] && [ "$(cat "$nic/operstate")" = up ] && echo "nic $(cat "$nic/address")"
done
[ -d /sys/firmware/efi ] && echo "firmware uefi" || echo "firmware bios"
for address in $(ip -6 -o addr show scope global 2>/dev/null | awk '{ print $4 }'); do echo "ipv6 $address"; done
"""


@dataclass(frozen=True)
class Machine:
    """What the machine's configuration must know: ``disk`` by its stable name, ``ipv6`` with prefix length or None."""

    gpu: str
    disk: str
    mac: str
    firmware: str
    ipv6: str | None
    authorized_keys: tuple[str, ...]
    nix_release: str


def check_rescue_key(host: str, expected: Sequence[str]) -> str:
    """Return the public host key that ``host`` shows, once it is one of those that the provider reports."""
    if not expected:
        raise StageError(
            f"the provider reported no host key for {host}, so nobody can tell whom one would talk to; "
            "'reel builder install --rescue' starts the rescue system again and asks for its keys"
        )
    if shutil.which("ssh-keyscan") is None:
        raise StageError("ssh-keyscan is missing; install the OpenSSH client", status=3)
    finished = subprocess.run(["ssh-keyscan", "-T", "10", host], capture_output=True, text=True, check=False)
    shown = [line.split(" ", 1)[1] for line in finished.stdout.splitlines() if line and not line.startswith("#")]
    if not shown:
        raise BuilderError(f"{host} shows no host key; see whether its rescue system runs")
    wanted = set(expected)
    for key in shown:
        if fingerprints(key) & wanted:
            return key
    raise BuilderError(
        f"{host} shows none of the host keys that the provider reports: nothing is sent to it, and it should be "
        "cancelled"
    )


def survey(target: Target, gpu: str, authorized_keys: Sequence[str]) -> Machine:
    """Ask the rescue system for disks, network card and firmware."""
    with ssh_command(target, 20) as command:
        try:
            finished = subprocess.run(
                [*command, "sh"], input=_SURVEY, capture_output=True, text=True, timeout=_SURVEY_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise BuilderError(f"the rescue system of {target.host} did not answer in {_SURVEY_SECONDS} s") from error
    if finished.returncode:
        raise BuilderError(explain_ssh("rescue system", target, finished.stderr))
    return describe_machine(finished.stdout, gpu, authorized_keys)


def describe_machine(text: str, gpu: str, authorized_keys: Sequence[str]) -> Machine:
    """Return the machine of a survey's lines; one disk is enough, the biggest that does not rotate."""
    rows = [line.split() for line in text.splitlines()]
    disks = [(row[3] == "0", int(row[2]), row[1]) for row in rows if row[:1] == ["disk"] and len(row) == 4]
    nics = [row[1] for row in rows if row[:1] == ["nic"]]
    firmware = [row[1] for row in rows if row[:1] == ["firmware"]]
    ipv6 = [row[1] for row in rows if row[:1] == ["ipv6"]]
    if not disks or not nics or not firmware:
        missing = "disk" if not disks else "network card that is up" if not nics else "firmware"
        raise BuilderError(f"the rescue system names no {missing}; look at the machine before it is installed")
    disk = sorted(disks, key=lambda entry: (not entry[0], -entry[1], entry[2]))[0][2]
    release = ".".join(nix_version().split(".")[:2])
    return Machine(gpu, disk, nics[0], firmware[0], ipv6[0] if ipv6 else None, tuple(authorized_keys), release)
