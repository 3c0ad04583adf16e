"""Tensor files depend on tensors and metadata alone, and the safetensors library reads them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from reelgraph.errors import StageError
from reelgraph.train.tensors import TYPE_NAMES, read_tensors, write_tensors

shapes = st.lists(st.integers(min_value=0, max_value=5), max_size=4)


@settings(deadline=None)
@given(
    st.dictionaries(st.text(min_size=1, max_size=6), st.tuples(shapes, st.sampled_from(list(TYPE_NAMES))), min_size=1)
)
def test_any_tensors_come_back_as_they_were(tmp_path_factory, wanted):
    path = tmp_path_factory.mktemp("tensors") / "t.safetensors"
    tensors = {
        name: torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)
        for name, (shape, dtype) in wanted.items()
    }
    if "__metadata__" in tensors:
        return
    write_tensors(path, tensors)
    read = read_tensors(path)
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)


def test_bytes_do_not_depend_on_the_order_of_names_or_metadata(tmp_path):
    tensors, metadata = {"b": torch.ones(3), "a": torch.zeros(2, 2)}, {"z": "1", "a": "2", "é": "3"}
    write_tensors(tmp_path / "1", tensors, metadata)
    write_tensors(tmp_path / "2", dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_the_library_reads_the_metadata(tmp_path):
    write_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(1)}, {"title": "Été", "rank": "16"})
    with safe_open(tmp_path / "t.safetensors", "pt") as file:
        assert file.metadata() == {"title": "Été", "rank": "16"}


def test_a_view_is_written_as_its_own_numbers(tmp_path):
    write_tensors(tmp_path / "t.safetensors", {"a": torch.arange(6.0).reshape(2, 3).T})
    assert read_tensors(tmp_path / "t.safetensors")["a"].tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_file_cut_short_is_named(tmp_path):
    path = tmp_path / "clip-7.safetensors"
    write_tensors(path, {"a": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StageError, match=r"clip-7\.safetensors"):
        read_tensors(path)
