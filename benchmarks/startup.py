"""Start-up time of light commands, compared with the imports of their three libraries."""

import subprocess
import sys

from benchmarks.measure import compare, table


def _start(*arguments: str) -> None:
    """Run a new Python interpreter with some arguments."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def run() -> str:
    """Measure and return the section."""
    peer = "imports of typer, pydantic, loguru"
    work = {
        peer: lambda: _start("-c", "import typer, loguru; from pydantic import BaseModel"),
        "vl --help": lambda: _start("-m", "videolatent_cli", "--help"),
        "vl recipes ls": lambda: _start("-m", "videolatent_cli", "recipes", "ls"),
        "vl validate": lambda: _start(
            "-m", "videolatent_cli", "validate", "recipes/quickstart.yaml"
        ),
    }
    costs = compare(work, rounds=9)
    rows = [
        [name, f"{c.wall_seconds:.2f}", f"{c.wall_seconds / costs[peer].wall_seconds:.2f}"]
        for name, c in costs.items()
    ]
    return (
        "## Start-up\n\nGoal: light commands take at most 2.0 times as long as the imports alone. "
        "Of pydantic, the import is that of the class that every recipe derives from, since the "
        "bare module loads it later. `python -m benchmarks startup`\n\n"
        + table(["command", "wall s", "ratio"], rows)
    )
