"""Statistics by hand."""

import pytest

from videolatent_cli.evaluation.statistics import Accuracy, mcnemar_p, paired_difference


def test_wilson_interval_by_hand() -> None:
    # 8 of 10: the textbook values of the score interval
    low, high = Accuracy(8, 10).interval()
    assert (round(low, 4), round(high, 4)) == (0.4902, 0.9433)
    assert Accuracy(0, 10).interval()[0] == pytest.approx(0.0, abs=1e-12)
    assert Accuracy(10, 10).interval()[1] == pytest.approx(1.0)
    assert Accuracy(0, 0).interval() == (0.0, 1.0)
    assert Accuracy(3, 4).document()["accuracy"] == 0.75
    assert Accuracy(0, 0).document()["accuracy"] == 0.0


def test_mcnemar_by_hand() -> None:
    # 1 against 6 disagreements: 2 (C(7,0) + C(7,1)) / 2^7
    assert mcnemar_p(6, 1) == mcnemar_p(1, 6) == pytest.approx(2 * 8 / 128)
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(3, 3) == 1.0
    assert 0 < mcnemar_p(1500, 1000) < 1e-20


def test_paired_difference_by_hand() -> None:
    a, b = [True, True, True, False], [True, False, False, True]
    found = paired_difference(a, b, ["v", "v", "w", "w"])
    assert (found.mean, found.only_a, found.only_b, found.total) == (0.25, 2, 1, 4)
    # Two videos with gains 1/2 and 0: the bootstrap means are 0, 1/4 and 1/2.
    assert (found.low, found.high) == (0.0, 0.5)
    same = paired_difference(a, a, ["v"] * 4)
    assert (same.mean, same.low, same.high, same.p) == (0, 0, 0, 1)
    with pytest.raises(ValueError, match="paired_difference: 0, 0 and 0 questions"):
        paired_difference([], [], [])


def test_questions_on_one_video_widen_the_interval() -> None:
    a = [True] * 40 + [False] * 20
    b = [False] * 60
    apart = paired_difference(a, b, [str(i) for i in range(60)])
    together = paired_difference(a, b, [str(i // 10) for i in range(60)])
    assert together.high - together.low > 2 * (apart.high - apart.low)
