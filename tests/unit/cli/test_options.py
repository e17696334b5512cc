"""Options that several commands share."""

import sys
from pathlib import Path

import pytest

from videolatent_cli.cli.options import library_place
from videolatent_cli.errors import SetupError


def test_a_library_is_a_folder_or_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert library_place("cache/library") == Path("cache/library")
    assert str(library_place("memory://bucket/lib")) == "memory://bucket/lib"
    with pytest.raises(SetupError, match="nonsense://x: cannot be used"):
        library_place("nonsense://x")
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(SetupError, match=r"videolatent-cli\[objects\]"):
        library_place("s3://bucket/lib")
