"""A stage that tries to reach the network, the clock, the machine or the project does not succeed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from real_nix import ROOT, nixw, output_paths

PROBE = '''"""A stage that tries to leave its sandbox."""

from __future__ import annotations

import datetime
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import write_json
from reelgraph.stage import Stage


@dataclass(frozen=True)
class Inputs:
    """Nothing."""


@dataclass(frozen=True)
class Parameters:
    """Files that must not be there, and a port on which the machine listens."""

    files: list[str]
    port: int


def reaches_network(port: int) -> bool:
    """Whether there is an interface but loopback, or the machine's own loopback answers."""
    if [name for _, name in socket.if_nameindex() if name != "lo"]:
        return True
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write down what could be reached."""
    write_json(
        out / "probe.json",
        {
            "files": [file for file in parameters.files if os.path.exists(file)],
            "network": reaches_network(parameters.port),
            "host": socket.gethostname(),
            "clock": [time.time(), time.time_ns(), time.gmtime().tm_year, str(datetime.datetime.now(datetime.UTC))],
            "variables": sorted(name for name in os.environ if "PIP" in name or "proxy" in name.lower()),
        },
    )


STAGE = Stage(name="probe", inputs=Inputs, parameters=Parameters, outputs={}, run=run)
'''
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["files", "port"],
    "properties": {"files": {"type": "array", "items": {"type": "string"}}, "port": {"type": "integer"}},
}
PIPELINE = """arguments: {
  probe = arguments.mkStage {
    definition = arguments.stages.probe;
    set = "test";
    inputs = { };
    parameters = builtins.fromJSON (builtins.readFile ./probe.json);
  };
}
"""


def test_a_stage_reaches_neither_network_nor_clock_nor_files_outside_its_inputs(checkout: Path) -> None:
    outside = [
        "/etc/hostname",
        "/root",
        "/home",
        "/usr",
        "/var",
        "/etc/ssl",
        "/etc/pip.conf",
        str(checkout / "README.md"),
    ]
    (checkout / "python/reelgraph/stages/probe.py").write_text(PROBE)
    (checkout / "python/reelgraph/schemas/probe.parameters.json").write_text(json.dumps(SCHEMA))
    definition = (
        '{ name = "probe"; kind = "probe"; environment = "runner"; inputs = { }; schemas = [ ]; modules = [ ]; }'
    )
    (checkout / "nix/stages/probe.nix").write_text(definition)
    (checkout / "nix/pipelines/default.nix").write_text(PIPELINE)
    default = checkout / "nix/default.nix"
    # The probe is a single stage and no specification of a pipeline.
    default.write_text(
        default.read_text().replace("builtins.mapAttrs (_: mkPipeline) specifications", "specifications")
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        parameters = {"files": outside, "port": server.getsockname()[1]}
        (checkout / "nix/pipelines/probe.json").write_text(json.dumps(parameters))
        finished = nixw("build", "--no-link", "-L", "--json", f"path:{checkout}#probe")
    assert finished.status == 0, finished.log
    probe = json.loads((Path(json.loads(finished.output)[0]["outputs"]["out"]) / "probe.json").read_text())
    assert probe == {
        "files": [],
        "network": False,
        "host": "localhost",
        "clock": [946684800.0, 946684800000000000, 2000, "2000-01-01 00:00:00+00:00"],
        "variables": [],
    }


def test_graphviz_finds_all_its_libraries_without_those_of_the_machine(checkout: Path) -> None:
    probe = 'import os, pygraphviz\nopen(os.environ["out"], "w").write(pygraphviz.__version__)\n'
    (checkout / "nix/probe.py").write_text(probe)
    planted = 'planted = python.script { name = "reel-probe"; file = ./probe.py; python = python.environments.cli; };'
    wiring = checkout / "nix/default.nix"
    wiring.write_text(wiring.read_text().replace("  lib = {\n", f"  lib = {{\n    {planted}\n", 1))
    (version,) = output_paths(["lib.x86_64-linux.planted"], flake=f"path:{checkout}")
    assert f"pygraphviz=={Path(version).read_text()} " in (ROOT / "python/locks/x86_64-linux/cli.txt").read_text()
