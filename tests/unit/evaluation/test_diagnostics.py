"""Alarms of the probe at their thresholds."""

from videolatent_cli.evaluation.diagnostics import FAILURES, diagnose

GOOD = {
    "similarity_between": 0.5,
    "effective_rank": 20.0,
    "similarity_within": 0.1,
    "similarity_rise": 0.1,
    "shuffle_drop": 0.2,
    "markers_drop": 0.1,
    "accuracy": 0.8,
    "blind_accuracy": 0.3,
    "target_similarity_blind": 0.5,
    "target_distance": 0.3,
    "teacher_gain": 1.0,
    "scale": 1.0,
    "path_difference": 1e-6,
    "path_rounding": 1e-5,
    "video_effect": 0.2,
    "base_accuracy": 0.5,
    "plain_accuracy": 0.6,
}

BAD = {
    "F1": {"effective_rank": 3.9},
    "F2": {"similarity_within": 0.81},
    "F3": {"similarity_rise": 0.31},
    "F4": {"shuffle_drop": 0.009},
    "F5": {"markers_drop": 0.004},
    "F6": {"blind_accuracy": 0.78},
    "F7": {"target_similarity_blind": 0.96},
    "F8": {"target_distance": 0.01},
    "F9": {"scale": 3.1},
    "F10": {"path_difference": 1e-2},
    "F11": {"video_effect": 1e-4},
    "F12": {"plain_accuracy": 0.48},
}


def test_every_failure_has_an_alarm_at_its_threshold() -> None:
    assert [one.raised for one in diagnose(GOOD)] == [False] * 12
    assert list(BAD) == [failure.code for failure in FAILURES]
    for code, change in BAD.items():
        raised = [one.failure.code for one in diagnose(GOOD | change) if one.raised]
        assert raised == [code]
    assert diagnose(GOOD | {"similarity_between": 0.91})[0].raised
    assert not diagnose(GOOD | {"teacher_gain": -2.0})[7].raised
    assert diagnose(GOOD | {"scale": 0.29})[8].raised
    assert not diagnose(GOOD | {"scale": 0.31})[8].raised
