"""Confidence intervals of accuracies, and of differences in accuracy on the same questions."""

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
"""Number of bootstrap resamples."""


@dataclass(frozen=True)
class Accuracy:
    """Number and share of right answers."""

    right: int
    """Number of right answers."""
    total: int
    """Number of questions."""

    @property
    def value(self) -> float:
        """Share of right answers, in [0, 1]; NaN without questions."""
        return self.right / self.total if self.total else math.nan

    def interval(self) -> tuple[float, float]:
        """Return the 95 % Wilson interval, which assumes that questions are independent."""
        return wilson_interval(self.value, self.total) if self.total else (0.0, 1.0)

    def __str__(self) -> str:
        """Return the share with its interval, such as `0.912 [0.88, 0.94]`."""
        low, high = self.interval()
        return f"{self.value:.3f} [{low:.2f}, {high:.2f}]"

    def document(self) -> dict[str, float | int]:
        """Return the values as a JSON object."""
        low, high = self.interval()
        return {
            "right": self.right,
            "total": self.total,
            "accuracy": self.value if self.total else 0.0,
            "low": low,
            "high": high,
        }


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share of some independent questions.

    Source: Wilson 1927, score interval without continuity correction.

    Args:
        share: Share of right answers, in [0, 1].
        count: Number of questions, at least 1.
    """
    z2 = _Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = share * (1 - share) / count + z2 / (4 * count * count)
    half = _Z_95 * math.sqrt(spread) / (1 + z2 / count)
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Difference:
    """Accuracy of A minus accuracy of B on the same questions."""

    mean: float
    """Difference, in [-1, 1]."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    only_a: int
    """Number of questions that only A answers correctly."""
    only_b: int
    """Number of questions that only B answers correctly."""
    p: float
    """Two-sided p-value of McNemar's test, which assumes that questions are independent."""
    total: int
    """Number of questions."""

    def __str__(self) -> str:
        """Return the difference in points with its interval, such as `+5.2 [3.1, 7.1]`."""
        return f"{100 * self.mean:+.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def document(self) -> dict[str, float | int]:
        """Return the values as a JSON object."""
        return asdict(self)


def paired_difference(
    a: Sequence[bool], b: Sequence[bool], clusters: Sequence[str], seed: int = 0
) -> Difference:
    """Return the difference in accuracy between two models on the same questions.

    Its interval is over videos, for these two models. A model that is trained again with another
    seed differs, too: the answers of several seeds must not be pooled here.

    Args:
        a: Whether A answers each question correctly.
        b: Whether B answers each question correctly.
        clusters: Video of each question.
        seed: Seed of the resampling.

    Raises:
        ValueError: If there are no questions, or if the lists have different lengths.
    """
    if not len(a) == len(b) == len(clusters) or not len(a):
        raise ValueError(f"paired_difference: {len(a)}, {len(b)} and {len(clusters)} questions")
    gain = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    low, high = clustered_interval(gain, clusters, seed)
    only_a, only_b = int((gain > 0).sum()), int((gain < 0).sum())
    p = mcnemar_p(only_a, only_b)
    return Difference(float(gain.mean()), low, high, only_a, only_b, p, len(gain))


def clustered_interval(
    values: Sequence[float] | np.ndarray, clusters: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the mean of some values, one per question.

    Choice: the percentile bootstrap over clusters, since answers to questions about one video
    depend on the same perception of it.

    Args:
        values: Value of each question.
        clusters: Video of each question.
        seed: Seed of the resampling.
    """
    _, cluster_index = np.unique(np.asarray(clusters), return_inverse=True)
    totals, sizes = np.bincount(cluster_index, values), np.bincount(cluster_index)
    count = len(totals)
    # How often each cluster is drawn, (resample, cluster): the same as drawing with replacement.
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    low, high = np.quantile((draws @ totals) / (draws @ sizes), [0.025, 0.975])
    return float(low), float(high)


def mcnemar_p(only_a: int, only_b: int) -> float:
    """Return the exact two-sided p-value of McNemar's test.

    It uses only the questions on which the models disagree.

    Source: McNemar 1947; the binomial form.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2.0 * (tail / (1 << n)))  # integers first: no overflow for large n
