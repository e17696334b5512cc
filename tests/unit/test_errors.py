"""Errors: one exit code for each kind, and names of any bytes as text."""

import os
from pathlib import Path

import pytest

from videolatent_cli import errors
from videolatent_cli.errors import DataError, VideoError, VideoLatentError, printable


def test_every_kind_has_an_exit_code_of_its_own_but_for_its_kin() -> None:
    kinds = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, VideoLatentError)
    }
    assert kinds == {
        "VideoLatentError": 1,
        "UsageError": 2,
        "RecipeError": 2,
        "DataError": 3,
        "VideoError": 3,
        "WindowError": 3,
        "SetupError": 4,
        "ResourceError": 5,
        "FailedItemsError": 6,
        "IncompatibleError": 7,
        "InterruptedRunError": 75,
    }
    assert issubclass(VideoError, DataError)


@pytest.mark.parametrize(
    ("name", "text"),
    [(b"a b.mp4", "a b.mp4"), (b"\xff.mp4", "\\xff.mp4"), ("ü.mp4".encode(), "ü.mp4")],
)
def test_names_that_are_no_utf_8_are_escaped(name: bytes, text: str) -> None:
    assert printable(Path(os.fsdecode(name))) == text
    assert printable(os.fsdecode(name)) == text
