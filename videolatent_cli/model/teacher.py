"""Whose weights the hindsight teacher has: the model's own, those before training, an average."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

TeacherKind = Literal["current", "base", "ema"]


class TeacherWeights:
    """A second set of the trained backbone weights, lent to the model for a moment.

    Choice: with LoRA `base` is the adapters before training, which is the base model; with full
    fine-tuning it is a copy of the first weights. `current` keeps no copy.
    """

    def __init__(self, backbone: nn.Module, kind: TeacherKind, decay: float) -> None:
        self.kind = kind
        self._decay = decay
        trained = {n: p for n, p in backbone.named_parameters() if p.requires_grad}
        self._live = trained if kind != "current" else {}
        self.weights: dict[str, Tensor] = {n: p.detach().clone() for n, p in self._live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the model; call after each optimizer step."""
        if self.kind == "ema":
            for name, kept in self.weights.items():
                kept.lerp_(self._live[name], 1 - self._decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Run the model with the teacher's weights inside; nothing inside may keep gradients."""
        own = {name: self._live[name].data for name in self.weights}
        for name, kept in self.weights.items():
            self._live[name].data = kept
        try:
            yield
        finally:
            for name, data in own.items():
                self._live[name].data = data
