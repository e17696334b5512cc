"""Ctrl-C: the first asks, the second stops."""

import pytest

from videolatent_cli.errors import InterruptedRunError
from videolatent_cli.runtime import interrupt


def test_ctrl_c_once_asks_twice_stops() -> None:
    import os
    import signal

    with interrupt.StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(InterruptedRunError) as caught:
            stop.check("saved", "again")
        assert caught.value.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
