"""Graceful stop of a long command on Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self

from videolatent_cli.errors import InterruptedRunError


class StopRequest:
    """Record of a request to stop, made by the first Ctrl-C or by SIGTERM.

    The command calls `check` where it can stop without loss; a second Ctrl-C stops at once.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous_handlers: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous_handlers[number] = signal.signal(number, self._record)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # returned by signal()

    def _record(self, number: int, frame: FrameType | None) -> None:
        """Record the stop request; raise KeyboardInterrupt on the second Ctrl-C."""
        del frame
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number

    def check(self, saved: str, resume: str) -> None:
        """Raise an error if a stop was requested.

        Args:
            saved: Description of the work that is saved, for the error message.
            resume: Command that resumes the work.

        Raises:
            InterruptedRunError: If a stop was requested.
        """
        if self.signal is not None:
            error = InterruptedRunError(f"stopped: {saved}; resume with: {resume}")
            # 130 is the shells' code for Ctrl-C; 75 is EX_TEMPFAIL: the command can be run again.
            error.exit_code = 130 if self.signal == signal.SIGINT else 75
            raise error
