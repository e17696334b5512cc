"""Features of videos, and the fingerprint of what makes them."""

from pathlib import Path

import torch

from tests.families import load_family
from videolatent_cli.model.source import features_fingerprint


def test_fingerprint_follows_the_vision_weights_only(family_folder: Path) -> None:
    backbone = load_family(family_folder)
    before = features_fingerprint(backbone)
    with torch.no_grad():
        backbone.core.lm_head.weight.add_(1)
        next(backbone.language_model.parameters()).add_(1)
    assert features_fingerprint(backbone) == before
    with torch.no_grad():
        next(iter(backbone.vision_parameters()))[1].add_(1)
    assert features_fingerprint(backbone) != before
