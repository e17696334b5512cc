"""Launcher of several processes of one training on this machine."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from videolatent_cli.training.processes import Processes

if TYPE_CHECKING:
    from videolatent_cli.recipe.schema import Training


def launch(arguments: list[str], num_processes: int, training: Training) -> int:
    """Run `vl ARGUMENTS` in several processes, as torchrun does; return the exit code.

    If one process fails, the others are stopped and its exit code is returned.

    Raises:
        RecipeError: If the micro batches of a step cannot be divided evenly among the processes.
    """
    Processes(count=num_processes).share(training.gradient_accumulation_steps)
    # A process that fails prints its own error; torch would add a long report about it.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=num_processes,
        run_id="vl",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "videolatent_cli", *arguments)
    except ChildFailedError as error:
        return error.get_first_failure()[1].exitcode
    except SignalException as stop:  # the launcher passed a signal on; the processes save first
        return 130 if stop.sigval == signal.SIGINT else 75
    return 0
