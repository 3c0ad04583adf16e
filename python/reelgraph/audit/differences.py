"""What differs between two outputs of a stage, file by file, in the terms of each kind of file."""

from __future__ import annotations

import difflib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from reelgraph.audit.hints import hint
from reelgraph.audit.pictures import compare_images, compare_videos
from reelgraph.audit.tensors import compare_tensors

MOST_SHOWN = 5
MOST_DIFFOSCOPE_LINES = 40
# Its hashes of the other files only repeat what these say themselves.
RECORD = "stage.json"


@dataclass(frozen=True)
class Difference:
    """How one file differs: its kind, one sentence, details, and what the cause looks like ("" where nothing is
    known).
    """

    file: str
    kind: str
    summary: str
    details: tuple[str, ...] = ()
    cause: str = ""


def compare_outputs(first: Path, second: Path) -> list[Difference]:
    """Return the differences between two outputs; stage.json is left out unless it alone differs."""
    files = sorted({*_entries(first), *_entries(second)})
    found = [
        difference for file in files if (difference := compare_files(first / file, second / file, file)) is not None
    ]
    return [difference for difference in found if difference.file != RECORD] or found


def compare_files(first: Path, second: Path, name: str) -> Difference | None:
    """Return how two files, folders or links of a name differ, or None if they do not."""
    kinds = [_kind_of_entry(path) for path in (first, second)]
    if kinds[0] != kinds[1]:
        return Difference(name, "entry", f"{kinds[0]} in the first build, {kinds[1]} in the second")
    if kinds[0] == "link" and first.readlink() != second.readlink():
        return Difference(name, "link", f"leads to {first.readlink()} and to {second.readlink()}")
    if kinds[0] != "file":
        return None
    if _same_bytes(first, second):
        executable = [path.stat().st_mode & 0o111 != 0 for path in (first, second)]
        return None if executable[0] == executable[1] else Difference(name, "mode", "is executable in one build only")
    compare = _COMPARISONS.get(first.suffix.lower(), _compare_unknown)
    try:
        return compare(name, first, second)
    except Exception as error:
        # Whatever is wrong with a file, that it differs is the news; a damaged one must not end the audit.
        return _compare_bytes(name, first, second, f"cannot be read as {first.suffix} ({error})")


def _compare_json(name: str, first: Path, second: Path) -> Difference:
    values = [json.loads(path.read_text(encoding="utf-8")) for path in (first, second)]
    return _json_difference(name, "json", list(json_differences(*values)), values)


def _compare_json_lines(name: str, first: Path, second: Path) -> Difference:
    values = [[json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] for path in (first, second)]
    return _json_difference(name, "json", list(json_differences(*values)), values)


def _json_difference(name: str, kind: str, found: Sequence[tuple[str, Any, Any]], values: Sequence[Any]) -> Difference:
    if not found:
        return Difference(name, kind, "has the same values in other text: order of keys, spaces or digits")
    where = found[0][0] or "the whole value"
    more = f" and {len(found) - 1:,} more places" if len(found) > 1 else ""
    details = tuple(
        f"{path or 'the whole value'}: {_show(was)} and {_show(now)}" for path, was, now in found[:MOST_SHOWN]
    )
    return Difference(
        name, kind, f"differs at {where}{more}", details, hint([(was, now) for _, was, now in found], values)
    )


def json_differences(was: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, first, second) for each place where two JSON values differ; what is missing is None."""
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for key in sorted({*was, *now}):
            yield from json_differences(was.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif isinstance(was, list) and isinstance(now, list):
        for index, (old, new) in enumerate(zip_longest(was, now)):
            yield from json_differences(old, new, f"{path}[{index}]")
    elif type(was) is not type(now) or was != now:
        yield path, was, now


def _compare_text(name: str, first: Path, second: Path) -> Difference:
    lines = [path.read_text(encoding="utf-8").splitlines() for path in (first, second)]
    number, pair = next(
        ((number, pair) for number, pair in enumerate(zip_longest(*lines), start=1) if pair[0] != pair[1]),
        (len(lines[0]), ("", "")),
    )
    pairs = [pair for pair in zip_longest(*lines) if pair[0] != pair[1]]
    shown = list(difflib.unified_diff(*lines, "first", "second", lineterm="", n=0))[2 : 2 + 2 * MOST_SHOWN]
    details = tuple(line[:200] for line in shown)
    cause = hint([(was or "", now or "") for was, now in pairs], lines)
    return Difference(name, "text", f"differs at line {number}: {_show(pair[0])} and {_show(pair[1])}", details, cause)


def _compare_safetensors(name: str, first: Path, second: Path) -> Difference:
    comparison = compare_tensors(first, second)
    cause = "looks like floating-point numbers that were added in another order" if comparison.is_rounding else ""
    if comparison.metadata:
        cause = hint(comparison.metadata, [{}, {}]) or cause
    return Difference(name, "safetensors", comparison.summary, tuple(comparison.details[:MOST_SHOWN]), cause)


def _compare_image(name: str, first: Path, second: Path) -> Difference:
    return Difference(name, "image", compare_images(first, second))


def _compare_video(name: str, first: Path, second: Path) -> Difference:
    return Difference(name, "video", compare_videos(first, second))


def _compare_unknown(name: str, first: Path, second: Path) -> Difference:
    if all(_is_text(path) for path in (first, second)):
        return _compare_text(name, first, second)
    return _compare_bytes(name, first, second, "")


def _compare_bytes(name: str, first: Path, second: Path, note: str) -> Difference:
    sizes = [path.stat().st_size for path in (first, second)]
    offset = _first_difference(first, second)
    size = f"{sizes[0]:,} bytes" if sizes[0] == sizes[1] else f"{sizes[0]:,} and {sizes[1]:,} bytes"
    summary = f"differs from byte {offset:,} on, {size}" + (f"; {note}" if note else "")
    return Difference(name, "bytes", summary, tuple(_diffoscope(first, second)) or _excerpts(first, second, offset))


def _diffoscope(first: Path, second: Path) -> list[str]:
    program = shutil.which("diffoscope")
    if program is None:
        return []
    command = [program, "--text", "-", "--no-progress", "--max-text-report-size", "20000", str(first), str(second)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout.splitlines()[:MOST_DIFFOSCOPE_LINES] if finished.returncode == 1 else []


def _excerpts(first: Path, second: Path, offset: int) -> tuple[str, ...]:
    texts = []
    for path in (first, second):
        with path.open("rb") as stream:
            stream.seek(offset)
            texts.append(f"at {offset:,}: {stream.read(16).hex(' ')}")
    return tuple(texts)


def _first_difference(first: Path, second: Path) -> int:
    offset = 0
    with first.open("rb") as one, second.open("rb") as other:
        while True:
            pieces = one.read(1 << 20), other.read(1 << 20)
            if pieces[0] != pieces[1]:
                shorter = min(map(len, pieces))
                return offset + next(
                    (index for index in range(shorter) if pieces[0][index] != pieces[1][index]), shorter
                )
            if not pieces[0]:
                return offset
            offset += len(pieces[0])


def _same_bytes(first: Path, second: Path) -> bool:
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        while piece := one.read(1 << 20):
            if piece != other.read(1 << 20):
                return False
    return True


def _entries(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")} if folder.is_dir() else {"."}


def _kind_of_entry(path: Path) -> str:
    if path.is_symlink():
        return "link"
    return "folder" if path.is_dir() else "file" if path.is_file() else "nothing"


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            stream.read(1 << 16).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 100 else f"{text[:97]}…"


_COMPARISONS: dict[str, Callable[[str, Path, Path], Difference]] = {
    ".json": _compare_json,
    ".jsonl": _compare_json_lines,
    ".safetensors": _compare_safetensors,
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp"), _compare_image),
    **dict.fromkeys((".mp4", ".mkv", ".webm", ".mov"), _compare_video),
}
