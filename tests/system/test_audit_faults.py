"""`reel audit` finds every classic cause of differing results in a stage that has it, and names it; and nothing
else.
"""

from __future__ import annotations

from typing import Any

import pytest
from reel import copy_checkout, plant_stage, reel_json

STAGE = '''"""A stage with one fault of the kind that its parameter names, or none."""

from __future__ import annotations

import os
import socket
import threading
import uuid
from dataclasses import dataclass
from pathlib import Path

from reelgraph.files import write_json
from reelgraph.stage import Stage

THREADS = 48


@dataclass(frozen=True)
class Inputs:
    """Nothing."""


@dataclass(frozen=True)
class Parameters:
    """Which fault."""

    fault: str


def finished_order() -> list[int]:
    """Return the numbers of threads in the order in which they came through a gate together."""
    gate, order = threading.Barrier(THREADS), []

    def work(number: int) -> None:
        gate.wait()
        for _ in range(50):
            sum(range(200))
        order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return order


def directory_order() -> list[str]:
    """Return the names in a folder as the file system lists them."""
    folder = Path("folder")
    folder.mkdir()
    for number in range(12):
        (folder / f"frame-{number:02}").touch()
    return [entry.name for entry in os.scandir(folder)]


def floating_point_order() -> list[float]:
    """Return sums of numbers of unlike size in the order in which threads finish, which shows in the last digits.

    In the digits of a few sums a few threads that changed places might not show.
    """
    order = finished_order()
    return [sum((0.53 + 0.041 * base) ** number for number in order) for base in range(60)]


def clock() -> float:
    """Return the time at which the kernel says that a file was written."""
    file = Path("now")
    file.touch()
    return file.stat().st_mtime


FAULTS = {
    "none": lambda: [number**0.5 for number in range(THREADS)],
    "clock": clock,
    "random-id": lambda: uuid.uuid4().hex,
    "directory-order": directory_order,
    "thread-race": finished_order,
    "host-name": socket.gethostname,
    "floating-point-order": floating_point_order,
    "processors": os.cpu_count,
}


def run(inputs: Inputs, parameters: Parameters, out: Path) -> None:
    """Write what the fault gives."""
    write_json(out / "result.json", {"frames": 1920, "result": FAULTS[parameters.fault]()})


STAGE = Stage(name="faulty", inputs=Inputs, parameters=Parameters, outputs={}, run=run)
'''
STAGES = """map (fault: mkStage {
  definition = stages.faulty;
  set = fault;
  inputs = { };
  parameters = { inherit fault; };
}) [ %s ]"""
CAUSES = {
    "clock": "looks like a clock",
    "random-id": "looks like a random id",
    "directory-order": "looks like an order",
    "thread-race": "looks like an order",
    "host-name": "looks like a host name",
    "processors": "looks like the number of processors",
    "floating-point-order": "looks like floating-point numbers that were added in another order",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The audit of one stage for each fault, and of one without."""
    folder = tmp_path_factory.mktemp("faults")
    checkout = copy_checkout(folder / "checkout")
    listed = " ".join(f'"{fault}"' for fault in ("none", *CAUSES))
    target = plant_stage(checkout, "faulty", STAGE, ["fault"], STAGES % listed)
    status, report = reel_json("audit", target, "--work", folder / "clean", cwd=checkout)
    assert status == 1
    return {stage["name"].partition("/")[0]: stage for stage in report["stages"]}


@pytest.mark.parametrize("fault", CAUSES)
def test_a_planted_fault_is_found_and_named(report: dict[str, Any], fault: str) -> None:
    stage = report[fault]
    assert stage["class"] == "differs"
    [difference] = stage["differences"]
    assert difference["file"] == "result.json"
    assert "result" in difference["summary"] and "frames" not in difference["summary"]
    assert CAUSES[fault] in difference["cause"]


def test_a_stage_without_a_fault_is_reproduced(report: dict[str, Any]) -> None:
    assert report["none"]["class"] == "reproduced"
