"""One optimizer that trains matrices by Muon and everything else by AdamW."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float

_MOMENTUM = 0.95
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the Newton-Schulz polynomial a x + b x^3 + c x^5 (Jordan et al. 2024)."""
_ITERATIONS = 5


def orthogonalized(gradient: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """Return the nearest matrix with singular values of about 1 (0.7 to 1.2), in float32.

    Source: Jordan et al. 2024, Muon; five Newton-Schulz iterations.
    """
    a, b, c = _COEFFICIENTS
    # The Gram matrix of the shorter side is the smaller one.
    tall = gradient.shape[0] > gradient.shape[1]
    x = gradient.float().T if tall else gradient.float()
    x = x / x.norm().clamp(min=1e-7)  # the iteration needs singular values of at most 1
    for _ in range(_ITERATIONS):
        # x <- a x + b (x x^T) x + c (x x^T)^2 x
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class MuonAdamW(torch.optim.AdamW):
    """AdamW in which parameter groups with `muon: True` take Muon steps; they hold matrices only.

    Choice: not `torch.optim.Muon`, which iterates in bfloat16; on a CPU without bfloat16 it takes
    four times as long as the model's own step. Muon steps are scaled by 0.2 sqrt(longer side), as
    in Liu et al. 2025, so that learning rates are comparable with those of AdamW.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:  # noqa: ANN401 - as in torch
        """Do one step; it sets the gradients of Muon's matrices to None."""
        for group in self.param_groups:
            if group["muon"]:
                for parameter in group["params"]:
                    self._step_matrix(parameter, group["lr"], group["weight_decay"])
        return super().step(closure)

    def _step_matrix(self, parameter: Tensor, rate: float, weight_decay: float) -> None:
        """Update one matrix and drop its gradient, so that AdamW skips it."""
        gradient = parameter.grad
        if gradient is None:
            return
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["momentum_buffer"] = torch.zeros_like(parameter)
        state["step"] += 1
        momentum = state["momentum_buffer"].lerp_(gradient, 1 - _MOMENTUM)
        direction = orthogonalized(gradient.lerp(momentum, _MOMENTUM))  # Nesterov momentum
        parameter.mul_(1 - rate * weight_decay)
        scale = 0.2 * max(parameter.shape) ** 0.5
        parameter.add_(direction.to(parameter.dtype), alpha=-rate * scale)
        parameter.grad = None
