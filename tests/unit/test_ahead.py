"""Items made ahead come as they would without it, and no more of them than asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelgraph.media.ahead import ahead


@given(st.lists(st.integers(), max_size=20), st.integers(1, 8))
def test_items_come_in_their_order(items: list[int], count: int) -> None:
    assert list(ahead(items, count)) == items


def test_they_are_made_by_another_thread_and_not_too_many_of_them() -> None:
    made: list[int] = []
    makers: set[int] = set()
    enough = threading.Event()

    def items() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            makers.add(threading.get_ident())
            if number == 4:
                enough.set()
            yield number

    taken = ahead(items(), 4)
    assert next(taken) == 0
    # One is taken, four more may be made.
    assert enough.wait(60)
    taken.close()
    assert made == [0, 1, 2, 3, 4]
    assert makers != {threading.get_ident()} and len(makers) == 1


def test_an_error_comes_where_its_item_would_have_come() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("the third is damaged")

    taken = ahead(items(), 8)
    assert [next(taken), next(taken)] == [1, 2]
    with pytest.raises(ValueError, match="the third is damaged"):
        next(taken)
