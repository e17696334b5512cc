"""Search vectors of words, by hand."""

import numpy as np
import pytest

from videolatent_cli.pipeline.library.embedders.lexical import DIM, coverage, lexical_vectors


def test_vectors_of_texts() -> None:
    vectors = lexical_vectors(["red square moved up", "a red square moves up", "blue dog", ""])
    assert vectors.shape == (4, DIM)
    assert np.linalg.norm(vectors[:3], axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > 0.3
    assert vectors[0] @ vectors[2] < 0.2
    assert not vectors[3].any()
    assert coverage("red square", "the red square moved") == 1.0
    assert coverage("red square", "square red") == pytest.approx((2 * 0.5 + 16 * 0.05) / 3.8)
    assert coverage("", "red") == 0.0
