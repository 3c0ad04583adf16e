"""A line of a description is a known GPU or it is reported; it is never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.builder.gpus import find_gpu, parse_capability

BESIDE = ("Intel Core i5-13500", "64 GB DDR4 RAM", "2 x 1.92 TB NVMe SSD", "Intel UHD Graphics 770")


@pytest.mark.parametrize(
    ("line", "name", "count"),
    [
        ("Nvidia RTX™ 4000 SFF Ada Generation", "rtx-4000-sff-ada", 1),
        ("NVIDIA RTX 4000 SFF Ada Generation (20 GB GDDR6 ECC)", "rtx-4000-sff-ada", 1),
        ("GeForce® GTX 1080", "gtx-1080", 1),
        ("1x GeForce GTX 1080", "gtx-1080", 1),
        ("2 x NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada", 2),
        ("NVIDIA RTX PRO™ 4000 Blackwell SFF Edition", "rtx-pro-4000-blackwell-sff", 1),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "rtx-pro-6000-blackwell-max-q", 1),
        ("Graphics card NVIDIA L4, 24 GB", "l4", 1),
    ],
)
def test_known_lines_are_known(line: str, name: str, count: int) -> None:
    found, unknown = find_gpu([*BESIDE, line])
    assert found is not None and (found.gpu.name, found.count, found.line) == (name, count, line)
    assert unknown == []


@pytest.mark.parametrize(
    "line",
    [
        "GeForce GTX 1080 Ti",
        "NVIDIA RTX 4000 Ada Generation",
        "NVIDIA RTX 6000",
        "NVIDIA RTX 6000 Ada Generation (24 GB)",
        "AMD Radeon Pro W7900",
        "NVIDIA Something New",
        "GPU",
    ],
)
def test_other_lines_about_cards_are_reported(line: str) -> None:
    assert find_gpu([*BESIDE, line]) == (None, [line])


def test_a_machine_without_a_card_is_neither() -> None:
    assert find_gpu(BESIDE) == (None, [])


def test_two_models_in_one_machine_are_reported() -> None:
    lines = ["NVIDIA L4", "GeForce GTX 1080"]
    assert find_gpu(lines) == (None, lines)


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_text_is_known_reported_or_none_of_our_business(lines: list[str]) -> None:
    found, unknown = find_gpu(lines)
    assert found is None or not unknown
    assert set(unknown) <= set(lines)


@pytest.mark.parametrize("text", ["8", "8.9.1", "eight", "", "8.95"])
def test_what_is_no_compute_capability_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_capability(text)


def test_capabilities_compare_as_numbers() -> None:
    assert parse_capability("12.0") > parse_capability("8.9")
