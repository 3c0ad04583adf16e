"""What one can rely on of the contact sheet: it shows every shot, clip and reject, and opens without a server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_clips import EPISODE, PARAMETERS, SHOTS_PARAMETERS

from reelgraph.files import read_json
from reelgraph.stages import clips, contact_sheet, shots


@pytest.fixture
def sheet(
    film: Callable[..., Path], run_stage: Callable[..., Path], probed: Callable[[Path], dict[str, Path]]
) -> tuple[Path, dict[str, Path]]:
    """A contact sheet, and the stages' outputs that it shows."""
    inputs = probed(film(EPISODE))
    inputs["shots"] = run_stage(shots.STAGE, inputs, SHOTS_PARAMETERS)
    inputs["clips"] = run_stage(clips.STAGE, inputs, PARAMETERS)
    shown = {name: inputs[name] for name in ("source", "shots", "clips")}
    return run_stage(contact_sheet.STAGE, shown, {"play": True}), shown


def test_every_shot_clip_and_reject_is_on_the_page(sheet: tuple[Path, dict[str, Path]]) -> None:
    out, inputs = sheet
    page, cut = (out / "index.html").read_text(), read_json(inputs["clips"] / "clips.json")
    assert page.count('<section class="shot"') == len(read_json(inputs["shots"] / "shots.json")["shots"])
    for clip in cut["clips"]:
        assert f'src="{clip["file"]}"' in page and clip["id"] in page
        assert (out / clip["file"]).read_bytes() == (inputs["clips"] / clip["file"]).read_bytes()
    for reject in cut["rejects"]:
        assert f"{reject['start']} to {reject['end']} {reject['rule']}: {reject['value']:g} (limit" in page
    frames = [int(width) for width in re.findall(r'width="(\d+)" height="10"', page)]
    assert sum(frames) == cut["frames"]


def test_the_page_needs_nothing_but_the_files_beside_it(sheet: tuple[Path, dict[str, Path]]) -> None:
    out, _ = sheet
    page = (out / "index.html").read_text()
    named = re.findall(r'(?:src|poster|href)="([^"]+)"', page)
    assert named and all((out / name).is_file() for name in named)
    assert "http" not in page and "/nix/" not in page


def test_it_looks_right_in_a_browser(sheet: tuple[Path, dict[str, Path]], chromium: str, tmp_path: Path) -> None:
    out, inputs = sheet
    shot = tmp_path / "page.png"
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ]
    command += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1280,1800",
        f"--screenshot={shot}",
        (out / "index.html").as_uri(),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    picture = np.asarray(Image.open(shot).convert("RGB")).astype(int)
    # The timeline is there in both of its colours, and each clip's first frame is seen where its player is.
    for colour in ((0x2B, 0x7A, 0x83), (0xC9, 0x92, 0x5A)):
        assert (np.abs(picture - colour).max(axis=2) < 6).sum() > 500
    for clip in read_json(inputs["clips"] / "clips.json")["clips"]:
        first = np.asarray(Image.open(inputs["clips"] / clip["first_frame"]).convert("RGB")).astype(int)
        colour = np.median(first.reshape(-1, 3), axis=0)
        assert (np.abs(picture - colour).max(axis=2) < 12).sum() > 2000, clip["id"]
