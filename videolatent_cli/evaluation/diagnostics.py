"""What the measurements of a probe mean: the failure modes F1 to F12, their alarms and remedies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Failure:
    """One way in which latents fail, and how it shows."""

    code: str
    name: str
    reads: tuple[str, ...]
    """Measurements it rests on."""
    alarm: str
    """When it is raised, in words."""
    raised: Callable[..., bool]
    """Takes the measurements in the order of `reads`."""
    remedy: str


@dataclass(frozen=True)
class Diagnostic:
    """A failure mode looked for in one model."""

    failure: Failure
    measured: dict[str, float]
    """What was measured; empty where the model has nothing to measure."""

    @property
    def raised(self) -> bool | None:
        """Whether the alarm is raised; None where it was not measured."""
        if set(self.failure.reads) - self.measured.keys():
            return None
        return self.failure.raised(*(self.measured[name] for name in self.failure.reads))


FAILURES = (
    Failure(
        "F1",
        "constant latents",
        ("similarity_between", "effective_rank"),
        "cosine over triplets > 0.9, or effective rank < 4",
        lambda cosine, rank: cosine > 0.9 or rank < 4,
        "raise loss.diversity_weight",
    ),
    Failure(
        "F2",
        "equal latents",
        ("similarity_within",),
        "cosine within a triplet > 0.8",
        lambda cosine: cosine > 0.8,
        "raise loss.diversity_weight",
    ),
    Failure(
        "F3",
        "collapse along blocks",
        ("similarity_rise",),
        "cosine over triplets rises by > 0.3 from the first to the last block",
        lambda rise: rise > 0.3,
        "set latent.rollout_gradient: detach_blocks",
    ),
    Failure(
        "F4",
        "latents unused by the answer",
        ("shuffle_drop",),
        "another video's latents cost < 1 point on the questions that need reasoning",
        lambda drop: drop < 0.01,
        "raise loss.bottleneck_weight, or ask harder questions",
    ),
    Failure(
        "F5",
        "gain only from the markers",
        ("markers_drop",),
        "markers alone cost < 0.5 point",
        lambda drop: drop < 0.005,
        "claim no gain from latents; train the markers-only recipe and compare",
    ),
    Failure(
        "F6",
        "answers without the video",
        ("accuracy", "blind_accuracy"),
        "within 3 points without the video",
        lambda seen, blind: seen - blind < 0.03,
        "leave out questions that their text answers",
    ),
    Failure(
        "F7",
        "teacher only repeats the answer",
        ("target_similarity_blind",),
        "targets without the video have a cosine > 0.95 with those that see it",
        lambda cosine: cosine > 0.95,
        "hint with the option's text, lower loss.alignment_weight",
    ),
    Failure(
        "F8",
        "trivial alignment",
        ("target_distance", "teacher_gain"),
        "1 - cosine < 0.02",
        lambda distance, gain: distance < 0.02,
        "deeper loss.alignment_depths",
    ),
    Failure(
        "F9",
        "scale of the latents",
        ("scale",),
        "RMS over that of the token embeddings outside 0.005 to 20",
        lambda scale: not 0.005 <= scale <= 20,
        "lower training.latent_learning_rate",
    ),
    Failure(
        "F10",
        "training and use differ",
        ("path_difference",),
        "log-likelihoods differ by > 1e-3 (float32)",
        lambda gap: gap > 1e-3,
        "a bug: please report it",
    ),
    Failure(
        "F11",
        "lost state",
        ("video_effect",),
        "another picture changes the first block by < 0.001 of its size",
        lambda effect: effect < 1e-3,
        "a bug: please report it",
    ),
    Failure(
        "F12",
        "forgetting",
        ("base_accuracy", "plain_accuracy"),
        "without latents > 1 point worse than before training",
        lambda before, after: before - after > 0.01,
        "backbone.train: lora with a lower rank or rate, or mix in old data",
    ),
)
"""Choice: the alarms are first guesses, but for F8 and F9. In the grid (docs/lab_notes.md) latents
that carry answers end at scales of 0.02 to 8, with teachers that know less than the student."""


def diagnose(measured: Mapping[str, float]) -> list[Diagnostic]:
    """Return every failure mode with the measurements that are there."""
    return [
        Diagnostic(
            failure,
            {
                name: measured[name]
                for name in failure.reads
                if name in measured and math.isfinite(measured[name])
            },
        )
        for failure in FAILURES
    ]
