"""Work for Ray's processes, in a module that they import fast."""

import os
import signal
from pathlib import Path

from videolatent_cli.errors import DataError


class Work:
    """Makes of an item what a test wants."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def twice(self, item: int) -> int:
        """Return the double; the first worker that is given a 3 is killed."""
        if item == 3 and not (self._folder / "killed").exists():
            (self._folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * item

    def fail(self, item: int) -> None:
        """Raise an error that is shown, or die each time."""
        if item:
            os.kill(os.getpid(), signal.SIGKILL)
        raise DataError("f: is bad; mend it")
