"""The one error that a user is meant to read."""

from __future__ import annotations


class StageError(Exception):
    """What is wrong with which thing, what was expected, and what to do: one sentence, printed without a traceback.

    ``status`` is the exit status: 1 the answer is no, 2 wrong usage, 3 something needed is missing.
    """

    def __init__(self, sentence: str, status: int = 1) -> None:
        super().__init__(sentence)
        self.status = status
