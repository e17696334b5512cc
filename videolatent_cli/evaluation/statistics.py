"""Intervals of proportions."""

from __future__ import annotations

import math
from dataclasses import dataclass

_Z_95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""


@dataclass(frozen=True)
class Accuracy:
    """A share of right answers."""

    right: int
    total: int

    @property
    def value(self) -> float:
        """Share in [0, 1]; not a number without questions."""
        return self.right / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval.

        Source: Wilson 1927, score interval without continuity correction.
        """
        if not self.total:
            return 0.0, 1.0
        n, p, z2 = self.total, self.value, _Z_95**2
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z_95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        return max(0.0, middle - half), min(1.0, middle + half)

    def document(self) -> dict[str, float | int]:
        """Return the numbers as plain values."""
        low, high = self.interval()
        return {
            "right": self.right,
            "total": self.total,
            "accuracy": self.value if self.total else 0.0,
            "low": low,
            "high": high,
        }
