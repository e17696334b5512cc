"""Descriptions by the backbone stand in for search vectors of pictures."""

from pathlib import Path

from tests.libraries import LIBRARY
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.runtime.machine import Machine


def test_without_an_eye_a_picture_is_described(indexed: Path) -> None:
    for path in sorted(indexed.rglob("*.mp4")):
        (best,) = search(SearchRequest("", LIBRARY, 1, image=path), Machine(device="cpu"))
        assert best.paths == (path,)
        assert best.score > 0.8
