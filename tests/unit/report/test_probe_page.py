"""The page of the probe."""

from videolatent_cli.evaluation.diagnostics import diagnose
from videolatent_cli.report.probe_page import diagnostic_rows

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
    "F9": {"scale": 21.0},
    "F10": {"path_difference": 1e-2},
    "F11": {"video_effect": 1e-4},
    "F12": {"plain_accuracy": 0.48},
}


def test_what_was_not_measured_raises_nothing() -> None:
    found = diagnose({"accuracy": 0.5, "scale": float("nan")})
    assert [one.raised for one in found] == [None] * 12
    states = {row[4] for row in diagnostic_rows(found)}
    assert states == {"not measured"}
    (bad,) = [row for row in diagnostic_rows(diagnose(GOOD | BAD["F4"])) if row[4] == "alarm"]
    assert bad[5] == "Raise loss.bottleneck_weight, or ask harder questions."
