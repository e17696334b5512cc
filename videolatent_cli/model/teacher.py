"""Weights of the hindsight teacher: current, from before training, or a moving average."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

TeacherKind = Literal["current", "base", "ema"]
"""The model's current weights, those before training, or their exponential moving average."""


class TeacherWeights:
    """Second set of the trained backbone weights, put into the model for the teacher's pass.

    Choice: `base` keeps the trained weights as they were before training. With LoRA these are
    adapters that change nothing, so the teacher is the base model. `current` keeps no copy.

    Args:
        backbone: Backbone that is trained.
        kind: Which weights the teacher has.
        decay: Decay of the moving average per step, for `ema`.
    """

    def __init__(self, backbone: nn.Module, kind: TeacherKind, decay: float) -> None:
        self.kind = kind
        self._decay = decay
        trained = {name: p for name, p in backbone.named_parameters() if p.requires_grad}
        self._live = trained if kind != "current" else {}
        self.weights: dict[str, Tensor] = {
            name: p.detach().clone() for name, p in self._live.items()
        }

    @torch.no_grad()
    def update(self) -> None:
        """Move the `ema` weights towards the model's; call after each optimizer step."""
        if self.kind == "ema":
            for name, average in self.weights.items():
                average.lerp_(self._live[name], 1 - self._decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the teacher's weights inside the `with` block.

        No graph for a backward pass may be built inside: the weights change back at the end.
        """
        student = {name: self._live[name].data for name in self.weights}
        for name, weight in self.weights.items():
            self._live[name].data = weight
        try:
            yield
        finally:
            for name, weight in student.items():
                self._live[name].data = weight
