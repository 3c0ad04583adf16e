"""What a difference looks like to somebody who has seen the usual causes: a guess, named as one."""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

_DATE = re.compile(r"\b(?:19|20)\d\d-\d\d-\d\d[T ]?(?:\d\d:\d\d(?::\d\d)?)?|\b\d\d:\d\d:\d\d\b")
_RANDOM = re.compile(r"^[0-9a-fA-F-]{16,}$")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_ORDER = "looks like an order that nothing fixes (a directory's, a set's or that of threads)"
_ROUNDING = 1e-3
_A_YEAR = 366 * 86400


def hint(pairs: Sequence[tuple[Any, Any]], values: Sequence[Any]) -> str:
    """Return what the cause of differing ``pairs`` looks like, or ""; ``values`` are the two whole contents."""
    same_leaves = [Counter(json.dumps(leaf) for leaf in _leaves(value)) for value in values]
    if len(pairs) > 1 and same_leaves[0] == same_leaves[1]:
        return f"{_ORDER}: the same values elsewhere"
    known = [look for pair in pairs[:20] if (look := _look(*pair))]
    return Counter(known).most_common(1)[0][0] if known else ""


def _look(was: Any, now: Any) -> str:
    if isinstance(was, str) and isinstance(now, str):
        return _look_of_texts(was, now)
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in (was, now)):
        return ""
    if all(_is_moment(value) for value in (was, now)):
        return "looks like a clock: both are moments of about now"
    if was == os.cpu_count() and now == was + 1:
        return "looks like the number of processors"
    if isinstance(was, float) and math.isclose(was, now, rel_tol=_ROUNDING):
        return "looks like floating-point numbers that were added in another order"
    return ""


def _look_of_texts(was: str, now: str) -> str:
    if "audit" in now and "localhost" in was:
        return "looks like a host name"
    if _DATE.search(was) and _DATE.search(now) and _DATE.sub("", was) == _DATE.sub("", now):
        return "looks like a clock: they differ in a date or time"
    if _RANDOM.match(was) and _RANDOM.match(now) and len(was) == len(now):
        return "looks like a random id: two unlike rows of hexadecimal digits of one length"
    if sorted(was) == sorted(now):
        return f"{_ORDER}: the same letters elsewhere"
    numbers = [[float(number) for number in _NUMBER.findall(text)] for text in (was, now)]
    if numbers[0] and len(numbers[0]) == len(numbers[1]) and _NUMBER.sub("", was) == _NUMBER.sub("", now):
        looks = {_look(*pair) for pair in zip(*numbers, strict=True) if pair[0] != pair[1]}
        return looks.pop() if len(looks) == 1 else ""
    return ""


def _is_moment(value: float) -> bool:
    # Seconds, milliseconds, microseconds or nanoseconds since 1970.
    return any(abs(value / unit - time.time()) < _A_YEAR for unit in (1, 10**3, 10**6, 10**9))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from _leaves(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry)
    else:
        yield value
