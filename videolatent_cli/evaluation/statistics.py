"""Intervals of proportions, and of differences between two models on the same questions."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

_Z_95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""
_RESAMPLES = 4000


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

    def __str__(self) -> str:
        """Return the share with its interval, such as `0.912 [0.88, 0.94]`."""
        low, high = self.interval()
        return f"{self.value:.3f} [{low:.2f}, {high:.2f}]"

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


@dataclass(frozen=True)
class Difference:
    """Accuracy of A minus accuracy of B on the same questions."""

    mean: float
    low: float
    high: float
    """95 % interval, in [-1, 1]."""
    only_a: int
    """Questions that A alone answers rightly."""
    only_b: int
    p: float
    """Two-sided McNemar test; it takes questions for independent."""
    total: int

    def __str__(self) -> str:
        """Return the difference in points with its interval, such as `+5.2 [3.1, 7.1]`."""
        return f"{100 * self.mean:+.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def document(self) -> dict[str, float | int]:
        """Return the numbers as plain values."""
        return asdict(self)


def paired_difference(
    a: Sequence[bool], b: Sequence[bool], clusters: Sequence[str], seed: int = 0
) -> Difference:
    """Return the difference of two models on the same questions.

    Choice: the interval is the percentile bootstrap over clusters, since questions about one video
    share what was seen of it.

    Args:
        a: Whether A is right, by question.
        b: Whether B is right, by question.
        clusters: The video of each question.
        seed: Of the resampling.

    Raises:
        ValueError: Without questions, or for lists of different lengths.
    """
    if not len(a) == len(b) == len(clusters) or not len(a):
        raise ValueError(f"paired_difference: {len(a)}, {len(b)} and {len(clusters)} questions")
    gain = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    _, where = np.unique(np.asarray(clusters), return_inverse=True)
    gains, sizes = np.bincount(where, gain), np.bincount(where)
    low, high = _bootstrap(gains, sizes, seed)
    only_a, only_b = int((gain > 0).sum()), int((gain < 0).sum())
    p = mcnemar_p(only_a, only_b)
    return Difference(float(gain.mean()), low, high, only_a, only_b, p, len(gain))


def _bootstrap(gains: np.ndarray, sizes: np.ndarray, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of sum(gains) / sum(sizes) over resampled clusters."""
    count = len(gains)
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    low, high = np.quantile((draws @ gains) / (draws @ sizes), [0.025, 0.975])
    return float(low), float(high)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of the questions on which two models disagree.

    Source: McNemar 1947; the binomial form.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2.0 * (tail / (1 << n)))
