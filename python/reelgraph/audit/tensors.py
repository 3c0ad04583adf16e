"""Two safetensors files, tensor by tensor, read in pieces through the operating system's page cache."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip
_PIECE = 1 << 20
# Below this share of a tensor's own size, a difference is of the kind that another order of additions makes.
_ROUNDING = 1e-2


@dataclass(frozen=True)
class TensorComparison:
    """What differs: the numbers in a sentence ("" if none do), one more for each tensor, metadata; whether it looks
    like
    rounding."""

    numbers: str
    details: list[str]
    metadata: list[tuple[str, str]]
    is_rounding: bool

    @property
    def summary(self) -> str:
        """Everything in a sentence."""
        parts = [self.numbers] if self.numbers else []
        parts += [f"{len(self.metadata)} metadata differ"] if self.metadata else []
        return "; ".join(parts) or "only the layout of the file differs"


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file: its metadata, its tensors' descriptions by name, and where their bytes begin."""

    path: Path
    metadata: dict[str, str]
    tensors: dict[str, dict]
    start: int

    def pieces(self, name: str) -> Iterator[numpy.ndarray]:
        """Yield a tensor's numbers in order, a million at a time; bfloat16 as float32, unknown types as bytes."""
        entry = self.tensors[name]
        first, last = entry["data_offsets"]
        dtype = numpy.dtype(_DTYPES.get(entry["dtype"], "u1"))
        with self.path.open("rb") as stream:
            stream.seek(self.start + first)
            for position in range(first, last, _PIECE * dtype.itemsize):
                numbers = numpy.frombuffer(stream.read(min(_PIECE * dtype.itemsize, last - position)), dtype)
                yield (numbers.astype("<u4") << 16).view("<f4") if entry["dtype"] == "BF16" else numbers


def read_tensor_file(path: Path) -> TensorFile:
    """Read a file's header; raise ValueError if it is no safetensors file."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > path.stat().st_size:
            raise ValueError("its header is longer than the file")
        header = json.loads(stream.read(length))
    metadata = header.pop("__metadata__", {})
    return TensorFile(path, metadata, header, 8 + length)


def compare_tensors(first: Path, second: Path) -> TensorComparison:
    """Say which tensors differ and by how much at most."""
    files = read_tensor_file(first), read_tensor_file(second)
    names = [set(file.tensors) for file in files]
    details = [f"{name} is in one build only" for name in sorted(names[0] ^ names[1])]
    largest, roundings, differing = (0.0, ""), True, 0
    for name in sorted(names[0] & names[1]):
        shapes = [(file.tensors[name]["dtype"], file.tensors[name]["shape"]) for file in files]
        if shapes[0] != shapes[1]:
            details.append(f"{name} is {shapes[0][0]} {shapes[0][1]} and {shapes[1][0]} {shapes[1][1]}")
            roundings = False
            continue
        count, difference, size = _compare_numbers(*files, name)
        if count:
            differing += 1
            details.append(
                f"{name}: {count:,} numbers differ, the largest by {difference:.3g} (largest number {size:.3g})"
            )
            largest = max(largest, (difference, name))
            roundings = roundings and difference <= _ROUNDING * size
    metadata = [
        (files[0].metadata.get(key, ""), files[1].metadata.get(key, ""))
        for key in sorted({*files[0].metadata, *files[1].metadata})
        if files[0].metadata.get(key) != files[1].metadata.get(key)
    ]
    details += [f"metadata: {was} and {now}" for was, now in metadata]
    parts = []
    if names[0] != names[1]:
        parts.append(f"{len(names[0] ^ names[1])} tensors are in one build only")
    if differing:
        parts.append(
            f"{differing} of {len(names[0] & names[1])} tensors differ, {largest[1]} most, by {largest[0]:.3g}"
        )
    return TensorComparison("; ".join(parts), details, metadata, bool(differing) and roundings)


def _compare_numbers(first: TensorFile, second: TensorFile, name: str) -> tuple[int, float, float]:
    """Return how many numbers differ, the largest difference, the largest number; NaN equals NaN only."""
    count, largest, size = 0, 0.0, 0.0
    for one, other in zip(first.pieces(name), second.pieces(name), strict=True):
        if one.tobytes() == other.tobytes():
            size = max(size, _size(one))
            continue
        wide = one.astype("f8"), other.astype("f8")
        unlike = ~((wide[0] == wide[1]) | (numpy.isnan(wide[0]) & numpy.isnan(wide[1])))
        count += int(unlike.sum())
        if unlike.any():
            difference = numpy.abs(wide[0] - wide[1])[unlike]
            largest = max(largest, float(numpy.nan_to_num(difference, nan=numpy.inf).max()))
        size = max(size, _size(wide[0]))
    return count, largest, size


def _size(numbers: numpy.ndarray) -> float:
    return float(numpy.abs(numpy.nan_to_num(numbers.astype("f8"))).max()) if numbers.size else 0.0
