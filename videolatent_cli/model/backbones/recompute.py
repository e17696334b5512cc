"""Recomputation of the video prefix in the backward pass, in parts, to save memory."""

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
"""Number of positions that are recomputed at a time. Choice: enough to keep a GPU busy."""
_MMAP_THRESHOLD = -3
"""Parameter number M_MMAP_THRESHOLD of glibc's mallopt (malloc.h)."""
_LARGE_BYTES = 1 << 20
"""Size from which a block of memory is mapped on its own, so that freeing it returns it."""


def run_parts(run: Callable[[slice, State], State], length: int, start: State) -> State:
    """Run positions in parts, keep only keys and values, and return the state after them.

    The backward pass runs each part again, so that the activations of one part at a time are in
    memory. The result is exact, since a part attends only to itself and to the parts before it.

    Choice: parts of the sequence, not layers. The checkpointing of layers in transformers drops
    their keys and values.

    Args:
        run: Function that runs a part of the positions on a state and returns the state after it.
        length: Number of positions.
        start: State before the first position, with no positions of its own.
    """

    def run_part(part: slice, *before: State) -> State:
        after = run(part, before[0].joined(*before[1:]))
        # A copy of this part's keys and values: a view would keep those of all earlier parts.
        return after.window(part.start, part.stop, after.next_position).copied()

    _return_freed_memory()
    states = [start]
    for first in range(0, length, PART):
        part = slice(first, min(first + PART, length))
        states.append(checkpoint(run_part, part, *states, use_reentrant=False))
    return start.joined(*states[1:])


@cache
def _return_freed_memory() -> None:
    """Let this process return large tensors to the operating system as soon as they are freed.

    Choice: by default glibc keeps them. The parts, allocated and freed in turn, would then leave
    a fragmented heap that takes most of the memory saved (docs/results/performance.md, "Memory").
    Other C libraries keep their settings.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
