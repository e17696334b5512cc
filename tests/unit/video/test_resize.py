"""Resizing as the models' processors do it."""

from pathlib import Path

import numpy as np
import pytest

from tests.factories import make_video, spec
from videolatent_cli.errors import SetupError
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.resize import Resizing, resized


def test_torch_resize_is_the_processors_own(tmp_path: Path) -> None:
    import torch

    path = make_video(tmp_path / "big.mp4", 4, 4, size=(256, 128))
    native = decode_frames(path, spec(max_pixels=256 * 128, resize="torch"))
    small = decode_frames(path, spec(resize="torch"))
    data = torch.from_numpy(native.data).permute(0, 3, 1, 2)
    wanted = torch.nn.functional.interpolate(data, (64, 128), mode="bicubic", antialias=True)
    assert np.array_equal(small.data, wanted.permute(0, 2, 3, 1).numpy())
    close = decode_frames(path, spec(resize="ffmpeg"))
    assert np.abs(close.data.astype(int) - small.data).mean() < 1.0


@pytest.mark.parametrize(
    ("source", "wanted"), [((90, 61), (512, 348)), ((61, 90), (348, 512)), ((4000, 1), (512, 1))]
)
def test_smolvlm_fits_frames_to_a_longest_side_first(
    source: tuple[int, int], wanted: tuple[int, int]
) -> None:
    """90 by 61: 512 / (90 / 61) = 347.02, cut to 347, made even."""
    assert Resizing("lanczos", 512).sizes(source, (384, 384)) == (wanted, (384, 384))


def pictures() -> np.ndarray:
    """Five frames of noise, so that no error hides: an odd number, smaller and no square."""
    return np.random.default_rng(0).integers(0, 256, (5, 61, 90, 3), dtype=np.uint8)


def test_a_filter_that_torch_lacks_is_one_clear_line() -> None:
    with pytest.raises(SetupError, match=r"got 'sinc'; pip install -U torch"):
        resized(list(pictures()), [(8, 8)], "sinc")
