"""Stopping a long command in good order."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self

from videolatent_cli.errors import InterruptedRunError


class StopRequest:
    """The first Ctrl-C or SIGTERM only asks to stop; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() returned

    def _ask(self, number: int, frame: FrameType | None) -> None:
        """Remember the wish; give up waiting at the second Ctrl-C."""
        del frame
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def check(self, what: str, resume: str) -> None:
        """Raise if a stop was asked for.

        Raises:
            InterruptedRunError: Saying what is saved and which command goes on.
        """
        if self.signal is not None:
            error = InterruptedRunError(f"stopped: {what}; go on with: {resume}")
            error.exit_code = 130 if self.signal == signal.SIGINT else 75
            raise error
