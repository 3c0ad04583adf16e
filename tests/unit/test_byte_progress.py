"""Bytes are told in the largest unit of which there is one."""

from __future__ import annotations

import pytest

from reelgraph.byte_progress import byte_progress


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ([], "0/0 bytes"),
        ([300, 99], "399/399 bytes"),
        ([900, 600, 100], "2/2 kilobytes"),
        ([999_999], "1000/1000 kilobytes"),
        ([2_000_000, 600_000], "3/3 megabytes"),
    ],
)
def test_what_was_read_to_its_end_is_told_as_whole(
    sizes: list[int], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with byte_progress("look", sum(sizes)) as on_bytes:
        for size in sizes:
            on_bytes(size)
    assert capsys.readouterr().err.startswith(f"look: {said}, ")


def test_what_was_left_out_is_not_told_as_read(capsys: pytest.CaptureFixture[str]) -> None:
    with byte_progress("look", 5_000) as on_bytes:
        on_bytes(2_000)
    assert capsys.readouterr().err.startswith("look: 2/5 kilobytes, ")
