"""Curves are drawn."""

from pathlib import Path

import numpy as np
from PIL import Image

from videolatent_cli.report.curves import plot_curves, smoothed


def test_curves_are_drawn(tmp_path: Path) -> None:
    lines = [{"step": i, "parts": {"answer": 2.0 / (i + 1), "alignment": 1.0}} for i in range(20)]
    plot_curves({"a": lines, "b": [{"step": 1, "parts": {"answer": 1.0}}]}, tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as image:
        assert np.asarray(image.convert("L")).std() > 5
    assert smoothed([1.0, 3.0, 5.0], window=2) == [1.0, 2.0, 4.0]
