"""Transcription of a master by the stage, side by side with faster-whisper used plainly on the same model and settings.

The plain use is the library's own README: WhisperModel on the file's path, its generator read to the end. Each side
runs in a process of its own, turn by turn, and its whole time counts: start, decoding, loading and recognition. A run
beside which other work took more than a tenth of a processor does not count where both sides have three calm ones.

Run it under the Python of the environment asr (docs/words.md): with the tests' packages, jsonschema loads for a second.

Example: PYTHONPATH=python python tests/bench/transcribe.py episode.mp4 --model DIRECTORY
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import click

from reelgraph.determinism import FIXED_ENVIRONMENT

PLAIN = """
import sys
from faster_whisper import BatchedInferencePipeline, WhisperModel
model = WhisperModel(sys.argv[2], device="cpu", compute_type="int8", cpu_threads=int(sys.argv[3]))
size = int(sys.argv[4])
settings = dict(language="en", beam_size=5, temperature=0.0, vad_filter=True, condition_on_previous_text=False,
    word_timestamps=True, vad_parameters=dict(min_silence_duration_ms=2000))
if size == 1:
    segments, _ = model.transcribe(sys.argv[1], **settings)
else:
    segments, _ = BatchedInferencePipeline(model).transcribe(sys.argv[1], batch_size=size, **settings)
print(sum(len(segment.words) for segment in segments))
"""
STAGE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from reelgraph.stages.transcript_base import STAGE; STAGE.main()"
)


def parameters(threads: int, batch_size: int) -> dict[str, object]:
    """Return the stage's parameters that mean the same as PLAIN."""
    return {
        **{"language": "en", "beam_size": 5, "compute_type": "int8", "device": "cpu", "cpu_threads": threads},
        **{"batch_size": batch_size, "word_delay_seconds": 0.0, "voice_activity_threshold": 0.5},
        **{"minimum_silence_seconds": 2.0, "speech_padding_seconds": 0.4},
        **{"no_speech_threshold": 0.6, "log_probability_threshold": -1.0},
        **{"compression_ratio_threshold": 2.4, "repetition_limit": 4},
    }


def busy_seconds() -> float:
    """Return for how long all processors together have not been idle."""
    user, nice, system, _, _, *rest = map(int, Path("/proc/stat").read_text().split(maxsplit=9)[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def seconds_of(command: list[str]) -> tuple[float, float, float]:
    """Return how long a command takes in the fixed environment of stages, and how many processors others took.

    The time is by the clock, then of processors.
    """
    busy, start, before = busy_seconds(), time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**os.environ, **FIXED_ENVIRONMENT}, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    elapsed = time.monotonic() - start
    return round(elapsed, 2), round(used, 2), round((busy_seconds() - busy - used) / elapsed, 2)


@click.command()
@click.option("--model", required=True, type=click.Path(path_type=Path, exists=True), help="A faster-whisper model.")
@click.option("--threads", default=2, show_default=True)
@click.option("--batch-size", default=1, show_default=True, help="Windows heard at once, on both sides.")
@click.option("--turns", default=5, show_default=True)
@click.argument("master", type=click.Path(path_type=Path, exists=True))
def main(master: Path, model: Path, threads: int, batch_size: int, turns: int) -> None:
    """Print the median seconds of both, and those of each turn; on a busy machine only processor time compares."""
    times: dict[str, list[tuple[float, float, float]]] = {"plain": [], "stage": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with av.open(master) as container:
            sound = {"seconds": float(container.duration / av.time_base)}
        (folder / "probe.json").write_text(
            json.dumps({"episode": "bench", "language": "en", "audio": [sound], "sound_stream": 0})
        )
        (folder / "parameters.json").write_text(json.dumps(parameters(threads, batch_size)))
        code = str(Path(__file__).parents[2] / "python")
        for turn in range(turns):
            plain = [sys.executable, "-c", PLAIN, str(master), str(model), str(threads), str(batch_size)]
            stage = [sys.executable, "-c", STAGE, code, "--output", str(folder / str(turn))]
            stage += ["--parameters", str(folder / "parameters.json")]
            for key, path in (("master", master), ("source", folder), ("model", model)):
                stage += ["--input", f"{key}={path}"]
            # The order changes from turn to turn, so that neither always finds the caches warm.
            for side, command in sorted({"plain": plain, "stage": stage}.items(), reverse=bool(turn % 2)):
                times[side].append(seconds_of(command))
    calm = {side: [run for run in found if run[2] <= 0.1] for side, found in times.items()}
    counted = calm if min(map(len, calm.values())) >= 3 else times
    runs = {side: len(found) for side, found in counted.items()}
    for number, what in enumerate(("clock", "processor")):
        medians = {side: statistics.median(run[number] for run in found) for side, found in counted.items()}
        ratio = round(medians["plain"] / medians["stage"], 3)
        print(json.dumps({"seconds_by": what, "runs": runs, "median": medians, "times_as_fast": ratio}))
    print(json.dumps({"turns": times}))


if __name__ == "__main__":
    main()
