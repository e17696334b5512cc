"""A prefix that the backward pass computes again, part by part; only its state is kept."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import TYPE_CHECKING

from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from videolatent_cli.model.backbones.state import State

PART = 512
"""Positions that are computed again at a time. Choice: enough to keep a GPU busy."""
_MMAP_THRESHOLD = -3
"""What malloc.h calls M_MMAP_THRESHOLD."""
_LARGE_BYTES = 1 << 20


def run_parts(run: Callable[[slice, State], State], length: int, start: State) -> State:
    """Return the state after some positions, of which only keys and values are kept.

    Choice: parts of the text instead of the layers that transformers recomputes, since those drop
    their keys and values. Exact, since a part sees only what comes before it.

    Args:
        run: Runs a part of the positions on a state, and returns the state after it.
        length: Number of positions.
        start: State before them.
    """

    def run_again(part: slice, *before: State) -> State:
        after = run(part, before[0].joined(*before[1:]))
        return after.window(part.start, part.stop, after.next_position).copied()

    _give_back_at_once()
    states = [start]
    for first in range(0, length, PART):
        part = slice(first, min(first + PART, length))
        states.append(checkpoint(run_again, part, *states, use_reentrant=False))
    return start.joined(*states[1:])


@cache
def _give_back_at_once() -> None:
    """Have this process give large tensors back as soon as they are freed.

    Choice: glibc would keep them, and parts that come and go would leave a heap of holes that takes
    most of what is saved (results.md, "Memory"). Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
