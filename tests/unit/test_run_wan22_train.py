"""`run_wan22_train`: a dry run without GPU or weights, a run on a packaged folder, and 20 kills that change no byte."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from wan_workshop import TINY

from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.models.catalogue import read_models
from reelgraph.run_wan22_train import main
from reelgraph.stage import validate
from reelgraph.stages import wan22_tiny
from reelgraph.train.by_hand import Choices, cost_lines, dry_run
from reelgraph.train.by_hand_stages import train_all
from reelgraph.train.estimates import estimate, fitting, table
from reelgraph.train.memory import WAN22, choose_recompute, explain_out_of_memory
from reelgraph.train.plan import MicroStep, Step
from reelgraph.train.video import write_video

ROOT = Path(__file__).parents[2]
SIZE, FRAMES = 64, 17


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a packaged folder of three clips."""
    from PIL import Image

    folder, rows = tmp_path_factory.mktemp("by-hand") / "package", []
    for number in range(3):
        row = {
            "video": f"clips/e/{number}.mp4",
            "first_frame": f"first_frames/e/{number}.png",
            "prompt": f"Scene {number}.",
        }
        row |= {
            "episode": "e",
            "clip": str(number),
            "shot": number,
            "frames": FRAMES,
            "fps": 24,
            "caption_source": "label",
        }
        for file in (row["video"], row["first_frame"]):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
        pictures = [
            Image.linear_gradient("L").resize((SIZE, SIZE)).rotate(20 * number + f).convert("RGB")
            for f in range(FRAMES)
        ]
        write_video(folder / row["video"], pictures, fps=24, crf=16)
        pictures[0].save(folder / row["first_frame"])
        rows.append({**row, "width": SIZE, "height": SIZE})
    write_json(folder / "metadata.json", rows)
    write_json(folder / "dataset.json", {"hash": "sha256:" + "0" * 64, "name": "by-hand", "trigger": ""})
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a toy model."""
    folder = tmp_path_factory.mktemp("model") / "model"
    folder.mkdir()
    wan22_tiny.STAGE.execute({}, TINY, folder)
    return folder


def choices(package: Path, out: Path, model: Path | None = None, **changes: Any) -> Choices:
    values: dict[str, Any] = {
        "training_data_dir": package,
        "output_dir": out,
        "wan22_model": model,
        "model_variant": "ti2v-5b",
        "lora_rank": 4,
        "epochs": 3,
        "dataset_repeat": 4,
        "learning_rate": 1e-3,
        "num_frames": 81,
        "height": 480,
        "width": 832,
        "gradient_accumulation_steps": 2,
        "device": "cpu",
        "processes": 1,
    }
    return Choices(**{**values, **changes})


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# The dry run


def test_a_dry_run_prints_plan_memory_and_time_for_every_tier(package, tmp_path):
    flags = ["--training-data-dir", package, "--output-dir", tmp_path / "out", "--dry-run"]
    result = CliRunner().invoke(main, list(map(str, flags)))
    assert result.exit_code == 0, result.output
    assert "data: 3 clips, 3 captions, all files are there" in result.output
    assert "plan: 1500 optimiser steps of 1 clips (1500 in all) in 5 segments\n  LoRA rank 32" in result.output
    assert [tier for tier in ("24 GB: fits", "48 GB: fits", "80 GB: fits") if tier not in result.output] == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "flag",
    ["--epochs 0", "--dataset-repeat -1", "--gradient-accumulation-steps 0", "--learning-rate 0", "--lora-rank 0"],
)
def test_a_number_that_trains_nothing_is_wrong_usage(package, tmp_path, flag):
    flags = ["--training-data-dir", package, "--output-dir", tmp_path / "out", "--dry-run", *flag.split()]
    result = CliRunner().invoke(main, list(map(str, flags)))
    assert result.exit_code == 2 and f"Invalid value for '{flag.split()[0]}'" in result.output


def test_a_dry_run_loads_neither_torch_nor_diffsynth(package, tmp_path):
    """So it answers at once on a laptop."""
    code = "from reelgraph.run_wan22_train import main; main(standalone_mode=False)"
    code += "; import sys; print('torch' in sys.modules)"
    flags = ["--training-data-dir", str(package), "--output-dir", str(tmp_path / "out"), "--dry-run"]
    finished = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, check=True)
    assert finished.stdout.endswith("False\n")


def test_clips_cut_for_another_model_are_refused(package, tmp_path):
    with pytest.raises(StageError, match="24 frames a second; t2v-a14b was trained on 16"):
        dry_run(choices(package, tmp_path, model_variant="t2v-a14b"))


def test_memory_decides_what_is_computed_again(package, tmp_path):
    """TI2V-5B at 81 frames, 480x832 fits every tier of the runbook, A14B only the largest."""
    small = cost_lines(choices(package, tmp_path), {8190: 1})
    assert ["recompute full" in small[1], "recompute feed-forward" in small[2], "recompute none" in small[3]] == [
        True
    ] * 3
    large = cost_lines(choices(package, tmp_path, model_variant="t2v-a14b"), {32760: 1})
    assert ["does not fit" in line for line in large[1:]] == [True, True, False, False]


def test_tiers_and_measurements_are_as_the_schema_says():
    validate(table(), "estimates", "estimates.json")
    assert table()["tiers_gb"] == sorted(table()["tiers_gb"]) and {24, 48, 80} <= set(table()["tiers_gb"])
    assert {f"wan22-{row['model']}" for row in table()["measured"]} <= read_models(ROOT).keys()


def test_a_card_gets_the_least_recomputation_that_fits():
    assert [found and found.recompute for found in (fitting("ti2v-5b", 8190, gb) for gb in (12, 24, 48, 80))] == [
        None,
        "full",
        "feed-forward",
        "none",
    ]


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_the_cost_page_reckons_with_what_was_measured(recompute):
    seconds = estimate("ti2v-5b", 8190, recompute).seconds
    assert f"| {seconds:.2f} s a step" in (ROOT / "docs/cost.md").read_text(), (
        "correct the worked example of docs/cost.md"
    )


def test_estimates_give_back_what_was_measured():
    assert estimate("ti2v-5b", 8190, "none").seconds == pytest.approx(0.468)
    assert estimate("t2v-a14b", 20280, "full").seconds == pytest.approx(6.19)
    assert estimate("ti2v-5b", 27280, "full").seconds > 3 * estimate("ti2v-5b", 8190, "full").seconds
    assert fitting("ti2v-5b", 10**6, 80) is None


@pytest.mark.parametrize(
    ("tokens", "recompute", "measured"),
    [(8190, "none", 45.6), (5070, "none", 32.4), (8190, "feed-forward", 31.5), (8190, "full", 13.7)],
)
def test_the_preflight_foresees_the_measured_memory(tokens, recompute, measured):
    """5.0 billion weights in bfloat16 and a LoRA of 40 million numbers with gradients and moments."""
    weights = int(9.3 * 2**30) + (4 + 20) * 40_300_000
    assert WAN22.step_bytes(tokens, 3072, 30, weights, recompute) / 2**30 == pytest.approx(measured, rel=0.05)


def test_copies_of_weights_and_a_micro_steps_gradients_count_before_what_is_kept(monkeypatch, tmp_path):
    """A card of 40 GB holds TI2V-5B at 81 frames with half recomputed, but not with 9.1 GiB more of weights.

    Nor with a LoRA of 350 million numbers: its gradients and moments would fit, but not one micro step's beside them.
    """
    import torch

    write_json(tmp_path / "latents.json", {"latents": [{"clip": "c", "shape": [48, 21, 30, 52]}]})
    steps = [Step(1, 1e-4, (MicroStep("e", "c", "p", 0, 0.0, 0, False),))]
    dit = torch.nn.Module()
    dit.dim, dit.blocks = 3072, torch.nn.ModuleList(torch.nn.Module() for _ in range(30))
    loaded, card = int(9.3 * 2**30), int(39.5 * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: loaded)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: loaded)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (card - loaded, card))
    chosen = []
    for to_come, numbers in ((0, 0), (int(9.1 * 2**30), 0), (0, 350_000_000)):
        dit.lora = torch.nn.Parameter(torch.empty(numbers, device="meta"))
        chosen.append(choose_recompute("auto", WAN22, dit, {"e": tmp_path}, steps, torch.device("cuda"), to_come))
    assert chosen == ["feed-forward", "full", "full"]


def test_only_fast_on_a_gpu_that_multiplies_them_copies_weights_in_eight_bits(monkeypatch):
    import torch

    from reelgraph.train import trainer
    from reelgraph.train.lora import LoraLinear

    dit = torch.nn.Module()
    dit.patch_embedding = torch.nn.Linear(8, 8)
    dit.layer = LoraLinear(torch.nn.Linear(64, 32), 4)
    assert trainer.eight_bits_bytes(dit, "fast") == 0
    monkeypatch.setattr(trainer, "takes_eight_bits", lambda weight, profile: profile == "fast")
    assert [trainer.eight_bits_bytes(dit, profile) for profile in ("exact", "fast")] == [0, 2 * 64 * 32]


@pytest.mark.parametrize("device", ["new", "old"])
def test_a_device_is_asked_whether_it_multiplies_eight_bits(monkeypatch, device):
    import torch

    from reelgraph.train.eight_bits import multiplies_eight_bits

    if device == "old":

        def refuse(*_: object, **__: object) -> None:
            raise RuntimeError("is only supported on CUDA devices with compute capability >= 9.0 or 8.9")

        monkeypatch.setattr(torch, "_scaled_mm", refuse)
    assert multiplies_eight_bits(torch.device("cpu")) == (device == "new")


def test_out_of_memory_names_what_was_missing_the_clip_and_what_would_fit(tmp_path):
    import torch

    write_json(tmp_path / "latents.json", {"latents": [{"clip": "c", "shape": [48, 21, 30, 52]}]})
    steps = [Step(1, 1e-4, (MicroStep("e", "c", "p", 0, 0.0, 0, False),))]
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has")
    sentence = str(explain_out_of_memory(error, WAN22, "none", {"e": tmp_path}, steps))
    assert "2.50 GiB more was needed; the largest clip here is e/c with 8190 tokens" in sentence
    assert sentence.endswith("set recompute to auto or full")
    assert "TI2V-5B instead of A14B" in str(explain_out_of_memory(error, WAN22, "full", {"e": tmp_path}, steps))


# What is refused


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(StageError, match=r"there is no metadata\.json"):
        dry_run(choices(tmp_path, tmp_path / "out"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prompt": " "}, "clip e/0: its prompt is empty"),
        ({"width": 72}, "clip e/0: 72x64, 17 frames; ti2v-5b takes sides in multiples of 32"),
        ({"frames": 18}, "clip e/0: 64x64, 18 frames"),
        ({"video": "clips/e/7.mp4"}, r"clip e/0: clips/e/7\.mp4 is missing"),
    ],
)
def test_a_clip_that_will_not_do_is_named(package, tmp_path, change, sentence):
    copy = Path(shutil.copytree(package, tmp_path / "package"))
    rows = read_json(copy / "metadata.json")
    write_json(copy / "metadata.json", [{**rows[0], **change}, *rows[1:]])
    with pytest.raises(StageError, match=sentence):
        dry_run(choices(copy, tmp_path / "out"))


def test_clips_above_the_limits_are_left_out_by_name(package, tmp_path):
    copy = Path(shutil.copytree(package, tmp_path / "package"))
    rows = read_json(copy / "metadata.json")
    write_json(copy / "metadata.json", [{**rows[0], "frames": 97}, *rows[1:]])
    assert "left out e/0: 64x64, 97 frames, above 832x480, 81 frames" in dry_run(choices(copy, tmp_path / "out"))
    with pytest.raises(StageError, match=r"no clip of .* is within 32x32"):
        dry_run(choices(package, tmp_path / "out", width=32, height=32))


def test_a_missing_model_and_another_variants_are_refused(package, model, tmp_path):
    with pytest.raises(StageError, match="--wan22-model None: there is no such folder"):
        train_all(choices(package, tmp_path / "out"))
    rows = [{**row, "fps": 16} for row in read_json(package / "metadata.json")]
    copy = Path(shutil.copytree(package, tmp_path / "package"))
    write_json(copy / "metadata.json", rows)
    with pytest.raises(StageError, match=r"is Wan2\.2-TI2V-5B, --model-variant is t2v-a14b"):
        train_all(choices(copy, tmp_path / "out", model, model_variant="t2v-a14b"))


# The run


@pytest.fixture(scope="module")
def undisturbed(package, model, tmp_path_factory) -> Path:
    """Return the output of a run that nothing stopped."""
    out = tmp_path_factory.mktemp("undisturbed")
    train_all(choices(package, out, model))
    return out


def test_a_run_leaves_a_checkpoint_and_its_loss(undisturbed):
    assert read_json(undisturbed / "checkpoint/checkpoint.json")["metadata"]["reelgraph.steps"] == "18"
    rows = [json.loads(line) for line in (undisturbed / "checkpoint/loss.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 19))


def test_running_it_again_changes_no_file(undisturbed, package, model):
    before = {path: path.stat().st_mtime_ns for path in (undisturbed / "work/all/segments").rglob("*")}
    train_all(choices(package, undisturbed, model))
    assert before == {path: path.stat().st_mtime_ns for path in (undisturbed / "work/all/segments").rglob("*")}


def test_one_epoch_more_trains_only_the_added_segment(undisturbed, package, model, tmp_path):
    copy = Path(shutil.copytree(undisturbed, tmp_path / "longer"))
    before = {path: path.stat().st_mtime_ns for path in (copy / "work/all/segments").rglob("*")}
    train_all(choices(package, copy, model, epochs=4))
    after = {
        path: path.stat().st_mtime_ns for path in (copy / "work/all/segments").rglob("*") if "03" not in path.parts
    }
    assert before.items() <= after.items()
    assert len(read_json(copy / "checkpoint/checkpoint.json")["segments"]) == 4


def test_a_run_killed_at_20_random_moments_ends_in_the_same_bytes(undisturbed, package, model, tmp_path):
    """SIGKILL, so that nothing can tidy up; started again each time until a run is left to end."""
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["reelgraph.train.by_hand_stages"])
    moments, killed = random.Random(20), 0
    for _ in range(200):
        process = fork.Process(target=train_all, args=(choices(package, tmp_path / "out", model),))
        process.start()
        if killed < 20:
            deadline = time.monotonic() + moments.uniform(0.0, 1.5)
            while process.is_alive() and time.monotonic() < deadline:
                time.sleep(0.005)
            if process.is_alive():
                process.kill()
                killed += 1
            elif (tmp_path / "out" / "checkpoint").is_dir():
                # Done before its time: take the end away, so that there is something to kill.
                shutil.rmtree(tmp_path / "out" / "checkpoint")
                shutil.rmtree(tmp_path / "out" / "work" / "all" / "segments")
        process.join()
        if killed == 20 and process.exitcode == 0:
            break
    assert (killed, process.exitcode) == (20, 0)
    assert hashes(tmp_path / "out" / "checkpoint") == hashes(undisturbed / "checkpoint")
