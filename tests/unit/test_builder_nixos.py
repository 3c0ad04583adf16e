"""The rented machine's configuration as far as it can be seen without nixpkgs: what it sets, and that the docs name it.

``lib`` and ``pkgs`` are stand-ins of a dozen lines; real option types are checked where nixpkgs can be reached.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from reelgraph.builder.install import write_flake
from reelgraph.builder.rescue import describe_machine

ROOT = Path(__file__).parents[2]
SURVEY = """
disk /dev/disk/by-id/nvme-BIG_2TB_1 3750748848 0
nic 02:00:00:00:00:07
firmware uefi
"""
STUBS = """
let
  any = _: "type";
  lib = {
    mkOption = option: option;
    types = { enum = any; listOf = any; nullOr = any; str = "str"; ints.positive = "positive"; };
    optional = condition: value: if condition then [ value ] else [ ];
    getName = package: package.name;
  };
  pkgs = {
    nix = "default-nix";
    nixVersions = { nix_2_34 = "nix-2.34"; nix_2_8 = throw "nix_2_8 has been removed"; };
    writeShellScript = name: text: "/script/${name}:${text}";
  };
  machine = builtins.fromJSON (builtins.readFile ./nix/builder/machine.example.json);
  packages = [ "nvidia-x11" "steam" ];
  drivers = "/nix/store/00000000000000000000000000000000-graphics-drivers";
  configFor = cudaBuilder: rec {
    config = {
      reelgraph.cudaBuilder = { administratorKeys = [ ]; jobs = 1; nixRelease = null; } // cudaBuilder;
      systemd.tmpfiles.settings.graphics-driver."/run/opengl-driver"."L+".argument = drivers;
      boot.kernelPackages.nvidiaPackages = { production = "production"; legacy_580 = "legacy_580"; };
      nix.package = "/nix";
    };
    made = (import ./nix/builder/cuda-builder.nix { inherit config lib pkgs; }).config;
    value = made // {
      nixpkgs.config.allows = map made.nixpkgs.config.allowUnfreePredicate (map (name: { inherit name; }) packages);
    };
  };
in
"""


@cache
def evaluate(expression: str) -> Any:
    """Return the JSON of an expression that may use the stand-ins."""
    command = ["nix-instantiate", "--eval", "--strict", "--json", "--expr", STUBS + expression]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


def builder(gpu: str = "rtx-6000-ada", **more: Any) -> dict[str, Any]:
    """Return what the CUDA builder's module sets."""
    options = {"gpu": gpu, "authorizedKeys": ["ssh-ed25519 AAAA one"], **more}
    return evaluate(f"(configFor (builtins.fromJSON ''{json.dumps(options)}'')).value")


def machine(**changes: Any) -> dict[str, Any]:
    """Return what the rented machine's module sets."""
    change = f"builtins.fromJSON ''{json.dumps(changes)}''"
    return evaluate(f'import ./nix/builder/machine.nix (machine // {change}) {{ inherit lib; modulesPath = ""; }}')


def test_the_gpu_is_in_every_sandbox_by_fixed_paths() -> None:
    paths = builder()["nix"]["settings"]["extra-sandbox-paths"]
    assert paths[0] == "/run/opengl-driver=/nix/store/00000000000000000000000000000000-graphics-drivers"
    assert {"/dev/nvidiactl?", "/dev/nvidia0?", "/dev/nvidia7?", "/dev/nvidia-uvm?"} <= set(paths)


def test_it_offers_what_gpu_stages_require_and_keeps_the_sandbox() -> None:
    settings = builder()["nix"]["settings"]
    assert {"cuda", "ca-derivations"} <= set(settings["system-features"])
    assert "ca-derivations" in settings["experimental-features"]
    assert settings["sandbox"] is True and settings["sandbox-fallback"] is False
    assert settings["trusted-users"] == ["root", "reel-builder"]


def test_the_build_user_may_run_nothing_but_nix() -> None:
    (key,) = builder()["users"]["users"]["reel-builder"]["openssh"]["authorizedKeys"]["keys"]
    assert key.startswith('restrict,command="/script/reel-builder-only-nix') and key.endswith("ssh-ed25519 AAAA one")
    assert '"nix-daemon --stdio") exec /nix/bin/nix-daemon --stdio' in key


def test_nobody_logs_in_with_a_password_or_as_root() -> None:
    ssh = builder()["services"]["openssh"]
    assert ssh["settings"]["PasswordAuthentication"] is ssh["settings"]["KbdInteractiveAuthentication"] is False
    assert ssh["settings"]["PermitRootLogin"] == "no"
    assert builder()["users"]["allowNoPasswordLogin"] is True
    assert (
        builder(administratorKeys=["key"])["services"]["openssh"]["settings"]["PermitRootLogin"] == "prohibit-password"
    )
    assert builder()["networking"]["firewall"]["enable"] is True


@pytest.mark.parametrize(
    ("gpu", "driver", "open_module"),
    [("gtx-1080", "legacy_580", False), ("rtx-pro-6000-blackwell-max-q", "production", True)],
)
def test_the_card_decides_driver_and_kernel_module(gpu: str, driver: str, open_module: bool) -> None:
    nvidia = builder(gpu)["hardware"]["nvidia"]
    assert (nvidia["package"], nvidia["open"]) == (driver, open_module)


def test_only_the_drivers_are_allowed_of_what_is_unfree() -> None:
    assert builder()["nixpkgs"]["config"]["allows"] == [True, False]


def test_nix_is_of_the_release_that_builds_there_where_there_is_one() -> None:
    assert builder(nixRelease="2.34")["nix"]["package"] == "nix-2.34"
    assert builder(nixRelease="2.99")["nix"]["package"] == "default-nix"


def test_a_release_that_nixpkgs_removed_does_not_stop_an_installation() -> None:
    assert builder(nixRelease="2.8")["nix"]["package"] == "default-nix"


def test_without_keys_it_does_not_evaluate() -> None:
    (check,) = builder(authorizedKeys=[])["assertions"]
    assert check["assertion"] is False and "nobody could build" in check["message"]


def test_one_disk_starts_under_either_firmware() -> None:
    disk = machine()["disko"]["devices"]["disk"]["main"]
    assert disk["device"] == "/dev/disk/by-id/nvme-EXAMPLE_1920GB_0000"
    partitions = disk["content"]["partitions"]
    assert (partitions["bios"]["type"], partitions["esp"]["type"]) == ("EF02", "EF00")
    assert machine()["boot"]["loader"]["grub"] == {"enable": True, "efiSupport": True, "efiInstallAsRemovable": True}


def test_the_network_card_is_found_by_its_own_address() -> None:
    uplink = machine()["systemd"]["network"]["networks"]["10-uplink"]
    assert uplink["matchConfig"] == {"MACAddress": "02:00:00:00:00:01"}
    assert (uplink["address"], uplink["routes"]) == (["2001:db8::2/64"], [{"Gateway": "fe80::1"}])
    assert machine(ipv6=None)["systemd"]["network"]["networks"]["10-uplink"]["routes"] == []


def test_the_written_flake_hands_the_machine_to_the_projects_function(tmp_path: Path) -> None:
    described = describe_machine(SURVEY, "l4", ["ssh-ed25519 AAAA one"])
    write_flake(tmp_path, ROOT, described)
    flake = f"(import {tmp_path}/flake.nix).outputs {{ reelgraph.lib.x86_64-linux.cudaBuilder = machine: machine; }}"
    made = evaluate(f"({flake}).nixosConfigurations.cuda-builder")
    assert made["gpu"] == "l4" and set(made) == set(evaluate("machine"))


def options(value: Any, path: str = "") -> set[str]:
    """Return the option paths that a configuration sets, down to what is a plain value or a free-form part."""
    if not isinstance(value, dict) or path in FREE_FORM or not value:
        return {path}
    return {found for key, inner in value.items() for found in options(inner, f"{path}.{key}" if path else key)}


FREE_FORM = {
    "disko.devices.disk.main",
    "networking.firewall",
    "nixpkgs.config",
    "services.openssh.settings",
    "systemd.network.networks.10-uplink",
    "users.groups.reel-builder",
    "users.users.reel-builder",
    "users.users.root",
}


def test_the_docs_list_every_option_that_is_set() -> None:
    text = (ROOT / "docs/builder.md").read_text()
    used = options({key: value for key, value in builder().items() if key != "assertions"})
    used |= options({key: value for key, value in machine().items() if key != "imports"})
    assert sorted(option for option in used if f"`{option}`" not in text) == []


def test_a_validation_needs_a_nonce() -> None:
    call = 'import ./nix/builder/validation.nix { script = x: x; python = "p"; }'
    made = evaluate(f'({call}) {{ nonce = "7"; }}')
    assert made["gpu"]["requiredSystemFeatures"] == ["cuda"] and made["place"]["requiredSystemFeatures"] == []
    assert all(check["nonce"] == "7" and check["__contentAddressed"] for check in made.values())
    with pytest.raises(AssertionError, match="needs a nonce"):
        evaluate(f'({call}) {{ nonce = ""; }}')
