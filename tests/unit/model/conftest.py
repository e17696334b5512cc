"""Fixtures of the tests of models."""

from pathlib import Path

import pytest

from tests.factories import LATENT, small_model
from videolatent_cli.model.videolatent import VideoLatent


@pytest.fixture
def model(small_folder: Path) -> VideoLatent:
    """The small model with two blocks of latents."""
    return small_model(small_folder, LATENT)
