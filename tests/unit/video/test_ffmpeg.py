"""Which ffmpeg is run."""

import pytest

from videolatent_cli.errors import SetupError
from videolatent_cli.video import ffmpeg
from videolatent_cli.video.ffmpeg import ffmpeg_binary


def test_ffmpeg_binary_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ffmpeg_binary()
    ffmpeg_binary.cache_clear()
    monkeypatch.setenv("VL_FFMPEG", found)
    assert ffmpeg_binary() == found
    ffmpeg_binary.cache_clear()
    monkeypatch.setenv("VL_FFMPEG", "no-such-ffmpeg")
    with pytest.raises(SetupError, match="VL_FFMPEG: must name a program, got 'no-such-ffmpeg'"):
        ffmpeg_binary()
    monkeypatch.delenv("VL_FFMPEG")
    ffmpeg_binary.cache_clear()


def test_ffmpeg_missing_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise RuntimeError("no binary")

    ffmpeg_binary.cache_clear()
    monkeypatch.setattr(ffmpeg.imageio_ffmpeg, "get_ffmpeg_exe", nothing)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match="ffmpeg: not found; pip install imageio-ffmpeg"):
        ffmpeg_binary()
    ffmpeg_binary.cache_clear()
