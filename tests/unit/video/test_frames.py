"""Batches of frames."""

import numpy as np
import pytest

from videolatent_cli.video.frames import FrameBatch


def test_frame_batch_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"must be uint8 \(frame, height, width, 3\), got float"):
        FrameBatch(np.zeros((1, 2, 2, 3)), np.zeros(1))
    with pytest.raises(ValueError, match="one time for each of at least one frame"):
        FrameBatch(np.zeros((2, 2, 2, 3), np.uint8), np.zeros(1))
    with pytest.raises(ValueError, match="must not decrease"):
        FrameBatch(np.zeros((2, 2, 2, 3), np.uint8), np.array([1.0, 0.0]))
