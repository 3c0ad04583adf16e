"""What runs unattended on a GPU paid by the minute: every bench is there, and none outstays its time."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    specification = importlib.util.spec_from_file_location("gpu_session", ROOT / "tests/bench/gpu_session.py")
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "gpu_session", module)
    specification.loader.exec_module(module)
    return module


def test_every_bench_is_there_and_fits_in_a_call(session):
    for bench in (*session.ONE, *session.TWO):
        assert (ROOT / "tests/bench" / bench.command.split()[0]).is_file()
        assert bench.seconds < 300


def test_a_bench_over_its_time_is_ended_with_what_it_started(session, monkeypatch, tmp_path):
    (tmp_path / "tests/bench").mkdir(parents=True)
    script = 'import subprocess, time; child = subprocess.Popen(["sleep", "600"]); print(child.pid); time.sleep(600)'
    (tmp_path / "tests/bench/endless.py").write_text(script)
    monkeypatch.setattr(session, "ROOT", tmp_path)
    log = tmp_path / "log"
    log.touch()
    row = session.run(session.Bench("endless", 600, "endless.py"), 3, tmp_path, False, log)
    assert row["status"] == "ended after 3 s"
    child = int(row["last"][0])
    for _ in range(100):
        if not alive(child):
            return
        time.sleep(0.1)
    pytest.fail("what the bench started goes on")


def alive(process: int) -> bool:
    """Return whether the process is there and no mere entry that nobody has waited for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
