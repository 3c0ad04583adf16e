"""What an audit says about two outputs: which file, where in it, by how much, and what the cause looks like."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import numpy
import pytest
from made_store import MadeStage, MadeStore
from PIL import Image
from safetensors.numpy import save_file

from reelgraph.audit import variation
from reelgraph.audit.audit import DIFFERS, NOT_CHECKED, REPRODUCED, Audit, StageAudit, audit_json
from reelgraph.audit.clean_store import CleanStore, link_tree, remove_tree
from reelgraph.audit.differences import Difference, compare_outputs
from reelgraph.audit.rebuild import Circumstances
from reelgraph.audit.report import audit_html, audit_lines
from reelgraph.errors import StageError
from reelgraph.graph.derivation import Derivation
from reelgraph.graph.store import ValidPath
from reelgraph.stage import validate


@pytest.fixture
def outputs(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders for two outputs."""
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    return folders


def differing(outputs: tuple[Path, Path], name: str, *texts: Any) -> Difference:
    """Write two contents under a name, as JSON if they are no text, and return how they differ."""
    for folder, text in zip(outputs, texts, strict=True):
        (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))
    [difference] = compare_outputs(*outputs)
    assert difference.file == name
    return difference


def test_equal_outputs_do_not_differ(outputs: tuple[Path, Path]) -> None:
    for folder in outputs:
        (folder / "a.json").write_text("{}")
    assert compare_outputs(*outputs) == []


def test_json_is_named_by_path_with_both_values(outputs: tuple[Path, Path]) -> None:
    difference = differing(
        outputs, "clips.json", {"clips": [{"end": 49}, {"end": 98}]}, {"clips": [{"end": 49}, {"end": 97}]}
    )
    assert (difference.kind, difference.summary) == ("json", "differs at clips[1].end")
    assert difference.details == ("clips[1].end: 98 and 97",)


def test_json_of_other_layout_says_that_its_values_are_the_same(outputs: tuple[Path, Path]) -> None:
    assert "same values in other text" in differing(outputs, "a.json", '{"a": 1}', '{ "a": 1 }').summary


def test_json_lines_are_named_by_line(outputs: tuple[Path, Path]) -> None:
    assert (
        differing(outputs, "loss.jsonl", '{"loss": 1}\n{"loss": 2}\n', '{"loss": 1}\n{"loss": 3}\n').summary
        == "differs at [1].loss"
    )


def test_text_is_named_by_line(outputs: tuple[Path, Path]) -> None:
    difference = differing(outputs, "index.html", "<p>\none\n</p>", "<p>\ntwo\n</p>")
    assert difference.summary == "differs at line 2: one and two"


@pytest.mark.parametrize(
    ("was", "now", "cause"),
    [
        ({"at": time.time()}, {"at": time.time() + 9}, "clock"),
        ({"at": int(time.time() * 1000)}, {"at": int(time.time() * 1000) + 9}, "clock"),
        ("built 2026-11-23 15:00:01", "built 2026-11-23 15:02:07", "clock"),
        ({"id": "5d41402abc4b2a76b9719d911017c592"}, {"id": "7d793037a0760186574b0282f2f435e7"}, "random id"),
        ({"names": ["a", "b", "c"]}, {"names": ["c", "b", "a"]}, "order that nothing fixes"),
        ({"host": "localhost"}, {"host": "audit"}, "host name"),
        ({"loss": 3.5707310}, {"loss": 3.5707312}, "added in another order"),
        ({"parts": os.cpu_count()}, {"parts": os.cpu_count() + 1}, "number of processors"),
        ({"clips": 4000}, {"clips": 4001}, ""),
    ],
)
def test_the_usual_causes_are_recognised(outputs: tuple[Path, Path], was: Any, now: Any, cause: str) -> None:
    found = differing(outputs, "a.txt" if isinstance(was, str) else "a.json", was, now).cause
    assert cause in found and bool(cause) == bool(found)


def test_tensors_are_named_with_the_largest_difference(outputs: tuple[Path, Path]) -> None:
    weights = {name: numpy.linspace(-1, 1, 50, dtype="f4") for name in ("a", "b", "c")}
    save_file(weights, outputs[0] / "lora.safetensors")
    weights["b"][7] += 0.25
    save_file(weights, outputs[1] / "lora.safetensors")
    [difference] = compare_outputs(*outputs)
    assert difference.summary == "1 of 3 tensors differ, b most, by 0.25"
    assert difference.details == ("b: 1 numbers differ, the largest by 0.25 (largest number 1)",)
    assert difference.cause == ""


def test_tensors_that_differ_in_the_last_bits_look_like_rounding(outputs: tuple[Path, Path]) -> None:
    weights = {"a": numpy.linspace(0.5, 1, 50, dtype="f4")}
    save_file(weights, outputs[0] / "lora.safetensors")
    weights["a"] = numpy.nextafter(weights["a"], numpy.float32(2))
    save_file(weights, outputs[1] / "lora.safetensors")
    assert "floating-point" in compare_outputs(*outputs)[0].cause


def test_tensors_of_other_names_and_shapes_are_named(outputs: tuple[Path, Path]) -> None:
    save_file({"a": numpy.zeros(3, "f4"), "b": numpy.zeros(3, "f4")}, outputs[0] / "x.safetensors")
    save_file({"a": numpy.zeros((3, 1), "f4"), "c": numpy.zeros(3, "f4")}, outputs[1] / "x.safetensors")
    details = compare_outputs(*outputs)[0].details
    assert details == ("b is in one build only", "c is in one build only", "a is F32 [3] and F32 [3, 1]")


def test_bfloat16_is_compared_as_numbers(outputs: tuple[Path, Path]) -> None:
    for folder, numbers in zip(outputs, ((0x3F80, 0x4000), (0x3F80, 0x4040)), strict=True):
        header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
        data = b"".join(number.to_bytes(2, "little") for number in numbers)
        (folder / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    assert compare_outputs(*outputs)[0].summary == "1 of 1 tensors differ, w most, by 1"


def test_pictures_are_named_by_pixels(outputs: tuple[Path, Path]) -> None:
    pixels = numpy.zeros((8, 10, 3), "u1")
    Image.fromarray(pixels).save(outputs[0] / "a.png")
    pixels[2, 3] = 51
    Image.fromarray(pixels).save(outputs[1] / "a.png")
    summary = compare_outputs(*outputs)[0].summary
    assert summary.startswith("1 of 80 pixels differ, by 51 of 255 at most (PSNR ")


def test_pictures_that_differ_in_their_encoding_only_say_so(outputs: tuple[Path, Path]) -> None:
    for folder, level in zip(outputs, (1, 9), strict=True):
        Image.fromarray(numpy.arange(3000, dtype="u1").reshape(10, 100, 3)).save(folder / "a.png", compress_level=level)
    assert compare_outputs(*outputs)[0].summary == "has the same pixels; encoding or metadata differ"


def write_video(path: Path, brightness: list[int]) -> None:
    """Write frames of one grey each, without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", 24, options={"qp": "0", "threads": "1"})
        stream.width = stream.height = 32
        for grey in brightness:
            frame = av.VideoFrame.from_ndarray(numpy.full((32, 32, 3), grey, "u1"), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_videos_are_named_by_the_first_frame_that_differs(outputs: tuple[Path, Path]) -> None:
    write_video(outputs[0] / "a.mp4", [100] * 12)
    write_video(outputs[1] / "a.mp4", [100] * 6 + [140] * 2 + [100] * 4)
    summary = compare_outputs(*outputs)[0].summary
    assert summary.startswith("differs from frame 6 (0.250 s) on: 2 of 12 frames, PSNR ")


def test_a_video_that_is_shorter_says_where_it_ends(outputs: tuple[Path, Path]) -> None:
    write_video(outputs[0] / "a.mp4", [100] * 12)
    write_video(outputs[1] / "a.mp4", [100] * 9)
    assert compare_outputs(*outputs)[0].summary == "ends before frame 9 in the second build"


def test_anything_else_is_named_by_its_first_byte(
    outputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No diffoscope there.
    monkeypatch.setenv("PATH", str(tmp_path))
    for folder, byte in zip(outputs, (1, 2), strict=True):
        (folder / "a.bin").write_bytes(b"\xff" * 1000 + bytes([byte]) + b"\xff" * 5)
    difference = compare_outputs(*outputs)[0]
    assert difference.summary == "differs from byte 1,000 on, 1,006 bytes"
    assert difference.details == ("at 1,000: 01 ff ff ff ff ff", "at 1,000: 02 ff ff ff ff ff")


def test_diffoscope_says_how_anything_else_differs_where_it_is(
    outputs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its own words are its own affair; the real one takes these options and ends with 1 where something differs.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/diffoscope").write_text(
        '#!/bin/sh\necho "$1 $2 $3"; seq 99; ! cmp -s "$6" "$7" || exit 0; exit 1\n'
    )
    (tmp_path / "bin/diffoscope").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for folder, byte in zip(outputs, (1, 2), strict=True):
        (folder / "a.bin").write_bytes(b"\xff" * 1000 + bytes([byte]))
    details = compare_outputs(*outputs)[0].details
    assert details[0] == "--text - --no-progress"
    assert len(details) == 40


def test_a_damaged_file_does_not_end_the_audit(outputs: tuple[Path, Path]) -> None:
    difference = differing(outputs, "a.json", '{"a": 1}', '{"a": ')
    assert difference.kind == "bytes" and "cannot be read as .json" in difference.summary


def test_missing_files_links_and_modes_are_named(outputs: tuple[Path, Path]) -> None:
    (outputs[0] / "only.txt").write_text("x")
    for folder, target in zip(outputs, ("a", "b"), strict=True):
        (folder / "link").symlink_to(target)
        (folder / "run").write_text("x")
    (outputs[1] / "run").chmod(0o755)
    found = {difference.file: difference.summary for difference in compare_outputs(*outputs)}
    assert found == {
        "only.txt": "file in the first build, nothing in the second",
        "link": "leads to a and to b",
        "run": "is executable in one build only",
    }


def test_the_record_of_a_stage_is_named_only_if_nothing_else_differs(outputs: tuple[Path, Path]) -> None:
    for folder, number in zip(outputs, (1, 2), strict=True):
        (folder / "stage.json").write_text(json.dumps({"files": number}))
        (folder / "a.json").write_text(json.dumps(number))
    assert [difference.file for difference in compare_outputs(*outputs)] == ["a.json"]
    (outputs[1] / "a.json").write_text("1")
    assert [difference.file for difference in compare_outputs(*outputs)] == ["stage.json"]


def stage_derivation() -> Derivation:
    """Return a derivation that starts a stage as mkStage does."""
    start = "import sys; sys.path.insert(0, '/nix/store/x-code'); from reelgraph.stages.it import STAGE; STAGE.main()"
    return Derivation({}, {}, (), "s", "/python", ("-c", start, "--derivation"), {"__json": "{}"})


def test_a_second_build_that_is_not_varied_is_the_very_same_derivation() -> None:
    assert Circumstances(varied=False).of(stage_derivation()) == stage_derivation()


@pytest.mark.parametrize("circumstances", [Circumstances(), Circumstances(cpu_pins=False)])
def test_a_varied_start_is_python_and_keeps_the_stages_own(circumstances: Circumstances) -> None:
    option, start, last = circumstances.of(stage_derivation()).arguments
    compile(start, "start", "exec")
    assert (option, last) == ("-c", "--derivation")
    assert start.endswith(stage_derivation().arguments[1])


def test_a_process_is_varied_as_the_report_says(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
    processors = os.cpu_count() + 1, len(os.sched_getaffinity(0)) + 1
    script = Path(variation.__file__).read_text() + (
        f"\nplain = os.listdir({str(tmp_path)!r}), [e.name for e in os.scandir({str(tmp_path)!r})]\n"
        "vary()\n"
        f"varied = os.listdir({str(tmp_path)!r}), [e.name for e in os.scandir({str(tmp_path)!r})]\n"
        "assert varied == tuple(names[::-1] for names in plain)\n"
        "assert [f for _, _, f in os.walk('/proc/self/ns')] and sys.getswitchinterval() < 0.001\n"
        f"assert (os.cpu_count(), len(os.sched_getaffinity(0))) == {processors}\n"
        "print(socket.gethostname())\n"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # Some machines let no process have namespaces of its own; then it must say so.
    assert finished.stdout.strip() == "audit" or "does not let the host name be varied" in finished.stderr
    assert socket.gethostname() != "audit"


def test_linking_leaves_the_first_store_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "bin").mkdir(parents=True)
    (source / "bin/python").write_text("x")
    (source / "bin/python").chmod(0o555)
    (source / "link").symlink_to("bin/python")
    for folder in (source / "bin", source):
        folder.chmod(0o555)
    link_tree(source, tmp_path / "target")
    assert (tmp_path / "target/bin/python").stat().st_ino == (source / "bin/python").stat().st_ino
    assert os.readlink(tmp_path / "target/link") == "bin/python"
    link_tree(source, tmp_path / "target")
    remove_tree(tmp_path / "target")
    assert (source / "bin/python").read_text() == "x"
    assert stat.S_IMODE((source / "bin/python").stat().st_mode) == 0o555


def test_two_audits_do_not_share_a_store(tmp_path: Path, made: MadeStore) -> None:
    clean = CleanStore(made.checkout, tmp_path / "clean")
    with clean.locked(), pytest.raises(StageError, match="another audit works in it"), clean.locked():
        pass


@pytest.fixture
def made(tmp_path: Path) -> MadeStore:
    """A store with one stage."""
    made = MadeStore(tmp_path / "store")
    made.put(MadeStage("one/shots", {"master": "film"}))
    return made


def finished_audit() -> Audit:
    """Return an audit with a stage of each class."""
    path = ValidPath("/nix/store/x-reel-one-shots", "sha256:" + "0" * 64, 1500, 1)
    other = ValidPath("/nix/store/y-reel-one-shots", "sha256:" + "1" * 64, 1500, 1)
    difference = Difference("<shots>.json", "json", "differs at shots[0]", ("shots[0]: 1 and 2",), "looks like a clock")
    return Audit(
        "smoke",
        [
            StageAudit("one/source", REPRODUCED, "", path, path, (1.0, None), ()),
            StageAudit("one/shots", DIFFERS, "1 file differs", path, other, (1.0, 2.0), (difference,)),
            StageAudit("set/train", NOT_CHECKED, "needs cuda", None, None, (None, None), ()),
        ],
        {"processor": "x"},
    )


def test_counts_are_n_of_m() -> None:
    audit = finished_audit()
    assert audit.sentence == "smoke: 1 of 2 checked stages reproduced, 1 differ, 1 not checked"
    assert not audit.is_good
    assert next(iter(audit_lines(audit))) == "differs: one/shots: 1 file differs"


def test_the_report_satisfies_its_schema_and_escapes_names() -> None:
    validate(json.loads(json.dumps(audit_json(finished_audit()))), "reel-audit", "audit")
    page = audit_html(finished_audit())
    assert "&lt;shots&gt;.json" in page and "<shots>" not in page
    assert "1 of 2 checked stages reproduced" in page


def test_an_audit_that_checked_nothing_is_not_good() -> None:
    audit = finished_audit()
    assert not Audit("smoke", [audit.stages[2]], {}).is_good
    assert Audit("smoke", [audit.stages[0], audit.stages[2]], {}).is_good
