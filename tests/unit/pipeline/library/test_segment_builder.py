"""Segments with the text of their file."""

import shutil
from pathlib import Path

from tests.libraries import LIBRARY, run
from videolatent_cli.pipeline.library.search import SearchRequest, search


def test_a_renamed_file_is_found_by_its_new_name(indexed: Path) -> None:
    (indexed / "val/000000.mp4").rename(indexed / "lighthouse.mp4")
    run(indexed)
    (found,) = search(SearchRequest("lighthouse", LIBRARY, 1, "text"))
    assert found.paths[0].name == "lighthouse.mp4"
    shutil.copy(indexed / "lighthouse.mp4", indexed / "copy.mp4")
    run(indexed)
    assert search(SearchRequest("lighthouse", LIBRARY, 1, "text"))
