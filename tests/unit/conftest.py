"""Fixtures that several unit tests share."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import HealthCheck, settings
from small_films import RATE, Shot, tone, write_film

from reelgraph.stage import Stage
from reelgraph.stages import source

# No test may fail because the machine is busy, and none may find another example than the last run did.
settings.register_profile(
    "unit", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes a film as ``write_film`` does and gives its path; the same film is made once."""
    made: dict[str, Path] = {}

    def make(shots: Sequence[Shot], name: str = "episode.mp4", **settings: Any) -> Path:
        key = repr((shots, name, settings))
        if key not in made:
            made[key] = write_film(tmp_path_factory.mktemp("film") / name, shots, **settings)
        return made[key]

    return make


@pytest.fixture
def run_stage(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that runs a stage with inputs and parameters and gives its output directory."""

    def run(stage: Stage, inputs: dict[str, Path], parameters: dict[str, Any]) -> Path:
        out = Path(tempfile.mkdtemp(prefix=f"{stage.name}-", dir=tmp_path))
        stage.execute(inputs, parameters, out)
        return out

    return run


@pytest.fixture
def probed(run_stage: Callable[..., Path]) -> Callable[[Path], dict[str, Path]]:
    """Return a function that describes a master and gives the inputs of the stages that look at it."""

    def probe(master: Path) -> dict[str, Path]:
        parameters = {"episode": "e", "title": "E", "language": "en", "licence": "CC-BY-3.0", "sha256": None}
        return {"master": master, "source": run_stage(source.STAGE, {"master": master}, parameters)}

    return probe


@pytest.fixture
def sound_file(tmp_path: Path) -> Path:
    """Return a file with sound and no picture."""
    path = tmp_path / "sound.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=RATE)
        frame = av.AudioFrame.from_ndarray(tone(RATE)[:1], "s16", "mono")
        frame.sample_rate = RATE
        stream.layout = "mono"
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return path
