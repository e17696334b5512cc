"""Fair timing: interleaved rounds, medians, and CPU time that includes child processes."""

import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """Median cost of a piece of work."""

    wall_seconds: float
    cpu_seconds: float


def _cpu() -> float:
    """Return the CPU seconds of this process and of its finished children."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def compare(work: dict[str, Callable[[], object]], rounds: int = 5) -> dict[str, Cost]:
    """Run each piece of work once per round, in turn, and return the medians."""
    wall: dict[str, list[float]] = {name: [] for name in work}
    cpu: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            wall_before, cpu_before = time.perf_counter(), _cpu()
            do()
            wall[name].append(time.perf_counter() - wall_before)
            cpu[name].append(_cpu() - cpu_before)
    return {n: Cost(statistics.median(wall[n]), statistics.median(cpu[n])) for n in work}


def table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)
