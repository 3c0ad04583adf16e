"""The one error that a user is meant to read."""

from __future__ import annotations


class StageError(Exception):
    """What is wrong with which thing, what was expected, and what to do: one sentence, printed without a traceback."""
