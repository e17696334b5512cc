"""Small pictures of moments."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.factories import frame_number, make_video
from videolatent_cli.errors import VideoError
from videolatent_cli.video.thumbnail import jpeg, moment_thumbnail, picture_of


def pixels(data: bytes) -> np.ndarray:
    """A JPEG as an array."""
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        return np.asarray(image.convert("RGB"))


def test_the_frame_in_the_middle_of_a_moment_is_shown(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", 100, 10)
    assert frame_number(pixels(moment_thumbnail(video, 2.0, 4.0))) == 30
    assert frame_number(pixels(moment_thumbnail(video, 7.05, 7.05))) == 70  # an instant
    assert frame_number(pixels(picture_of(video))) == 50


def test_pictures_are_taken_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (300, 200), (9, 8, 7)).save(path)
    assert picture_of(path) == path.read_bytes()
    (tmp_path / "text.jpg").write_text("no picture")
    for name in ("text.jpg", "none.jpg"):
        with pytest.raises(VideoError, match=name):
            picture_of(tmp_path / name)


def test_jpegs_are_at_most_240_pixels_wide() -> None:
    wide = jpeg(np.full((90, 480, 3), 200, np.uint8))
    assert pixels(wide).shape == (45, 240, 3)
    assert pixels(wide).mean() == pytest.approx(200, abs=2)
    assert pixels(jpeg(np.zeros((8, 8, 3), np.uint8))).shape == (8, 8, 3)
