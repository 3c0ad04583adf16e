"""Items made by a thread of their own while the ones before them are used; FFmpeg lets both run at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterable[Item], count: int) -> Iterator[Item]:
    """Yield ``items`` in their order, at most ``count`` of them made before they are asked for.

    An error in making one is raised where that item would have come.
    """
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as maker:
        waiting = deque(maker.submit(next, source, end) for _ in range(count))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(maker.submit(next, source, end))
            yield item
