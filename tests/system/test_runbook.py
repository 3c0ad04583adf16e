"""docs/runbook.md, docs/own-pipeline.md and CONTRIBUTING.md: what stands there is what works."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from real_nix import ROOT, nixw
from reel import reel, reel_json
from small_films import write_film

from reelgraph.files import write_json

MARKS = ("money", "gpu", "weights", "stays")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    """Return a page's code blocks of a language."""
    return [text for name, text in BLOCK.findall((ROOT / page).read_text()) if name == language]


def is_marked(line: str) -> bool:
    """Whether a command needs what the tests do not have."""
    comment = line.rpartition(" # ")[2] if " # " in line else ""
    return bool(comment) and set(comment.split()) <= set(MARKS)


def write_page_files(page: str, checkout: Path) -> None:
    """Write the blocks of a page that begin with a path, or put them before or after the line that they name."""
    for language in ("python", "json", "nix"):
        for text in blocks(page, language):
            head, _, body = text.partition("\n")
            found = re.fullmatch(r"(?:#|//) (\S+?)(?:, (before|after): (.+))?", head)
            if found is None:
                continue
            path, where, anchor = checkout / found[1], found[2], found[3]
            if where is None:
                path.write_text(body if language == "json" else text)
                continue
            lines = path.read_text().splitlines(keepends=True)
            index = next(number for number, line in enumerate(lines) if line.strip() == anchor)
            lines.insert(index + (where == "after"), body)
            path.write_text("".join(lines))


def test_the_runbooks_commands_run_in_order(
    smoke: Path, checkout: Path, made_up_work: dict[str, Any], tmp_path: Path
) -> None:
    masters = tmp_path / "masters"
    masters.mkdir()
    write_film(masters / "IIW_101_The Example_EN.mp4", [("moving", 60), ("moving", 60)])
    write_json(checkout / "materials/licences/works/iiw.json", made_up_work)
    # As a clone is: what git does not know is not there for a flake.
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=checkout, check=True)
    lines = [line for block in blocks("docs/runbook.md", "sh") for line in block.splitlines()]
    script = "\n".join(line for line in lines if not is_marked(line))
    assert len(script.splitlines()) > 30
    environment = {
        **os.environ,
        "MASTERS": str(masters),
        "REEL_BIN": str(tmp_path / "bin"),
        "REEL_BUILDER_STATE": str(tmp_path / "builder"),
        "TMPDIR": str(tmp_path),
    }
    finished = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert re.search(r"train:step1-clips: skipped, \d stages? of pipeline smoke (is|are) built", finished.stderr)
    assert "train:step6-report: skipped, 2 stages of pipeline smoke are built" in finished.stderr
    assert re.search(r"/nix/store/\S+-reel-smoke-bundle", finished.stdout)
    complete = {
        **environment,
        "COMP_WORDS": "reel task train:step1-c",
        "COMP_CWORD": "2",
        "_REEL_COMPLETE": "bash_complete",
    }
    completed = subprocess.run(
        [tmp_path / "bin/reel"], cwd=checkout, env=complete, capture_output=True, text=True, check=False
    )
    # What is said on standard error would stand in the line that is being typed.
    assert (completed.stdout, completed.stderr) == ("plain,train:step1-clips\n", "")


def test_the_pipeline_of_the_page_builds_up_to_its_package(smoke: Path, checkout: Path) -> None:
    write_page_files("docs/own-pipeline.md", checkout)
    page = (checkout / "nix/pipelines/second.nix").read_text()
    assert len(page.splitlines()) < 40
    (entry,) = [text for text in blocks("docs/own-pipeline.md", "nix") if text.startswith("second = ")]
    registry = checkout / "nix/pipelines/default.nix"
    registry.write_text(registry.read_text().replace("smoke = import", f"{entry}smoke = import", 1))
    status, plan = reel_json("plan", "second", cwd=checkout)
    names = {stage["name"] for stage in plan["stages"]}
    assert status == 0 and {"second-101/clips", "second-segment-1/wan22-train", "second/checkpoint"} <= names
    finished = nixw("build", "--no-link", "--json", f"path:{checkout}#second.dataset.wan22", cwd=checkout)
    assert finished.status == 0, finished.log[-3000:]
    (built,) = json.loads(finished.output)
    package = json.loads((Path(built["outputs"]["out"]) / "dataset.json").read_text())
    assert package["name"] == "second" and {bucket["width"] for bucket in package["buckets"]} == {256}


def test_the_stage_of_the_page_builds(smoke: Path, checkout: Path) -> None:
    write_page_files("CONTRIBUTING.md", checkout)
    (command,) = blocks("CONTRIBUTING.md", "sh")
    attribute = command.strip().rpartition("#")[2]
    finished = nixw("build", "--no-link", "--json", f"path:{checkout}#{attribute}", cwd=checkout)
    assert finished.status == 0, finished.log[-3000:]
    # Built now or by an earlier run of this test, and nothing but it.
    assert set(finished.built_stages) <= {"big-buck-bunny-excerpt-clip-count"}
    (built,) = json.loads(finished.output)
    record = json.loads((Path(built["outputs"]["out"]) / "stage.json").read_text())
    assert record["stage"] == "clip-count" and record["inputs"].keys() == {"clips"}


def test_a_task_skips_what_is_built_and_prints_its_paths(smoke: Path) -> None:
    status, output = reel("task", "train:step6-report", "--input", "pipeline=smoke")
    assert status == 0
    assert str(smoke) in output.split()


def test_a_task_that_is_done_says_so_to_devenv(smoke: Path) -> None:
    assert reel("task", "train:step6-report", "--is-done", "--input", "pipeline=smoke")[0] == 0
