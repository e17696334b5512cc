"""Schedules of the weights."""

import pytest

from videolatent_cli.objectives import alignment_ramp, bottleneck_probability


def test_schedules() -> None:
    assert alignment_ramp(0.0, 0.1) == 0.0
    assert alignment_ramp(0.05, 0.1) == pytest.approx(0.5)
    assert alignment_ramp(0.5, 0.1) == 1.0
    assert alignment_ramp(0.0, 0.0) == 1.0
    assert bottleneck_probability(0.3, 0.3, 0.25) == 1.0
    assert bottleneck_probability(0.65, 0.3, 0.25) == pytest.approx(0.625)
    assert bottleneck_probability(1.0, 0.3, 0.25) == pytest.approx(0.25)
    assert bottleneck_probability(1.0, 1.0, 0.25) == 1.0
