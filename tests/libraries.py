"""Libraries for tests: in the folder of the test, with the embedded model."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.ask import AskRequest
from videolatent_cli.pipeline.ask import ask as ask_pipeline
from videolatent_cli.pipeline.library.ask import LibraryOptions
from videolatent_cli.pipeline.library.embedders.lexical import DIM
from videolatent_cli.pipeline.library.index import IndexReport, index
from videolatent_cli.pipeline.library.scan import IndexRequest
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.store.library import Library, writing
from videolatent_cli.store.library_rows import Manifest, SegmentRow

LIBRARY = Path("lib")
SUBTITLES = """1
00:00:01,000 --> 00:00:02,500
<i>The harbour</i>

2
00:00:12,000 --> 00:00:13,000
sleeps {\\an8}tonight
"""


def run(*paths: Path, **options: object) -> IndexReport:
    """Index as `vl index` does."""
    request = replace(IndexRequest(paths, LIBRARY, jobs=1), **options)
    return index(request, Machine(device="cpu"))


def names(query: str, **options: object) -> list[str]:
    """Search, and return names of files."""
    request = replace(SearchRequest(query, LIBRARY), **options)
    return [moment.paths[0].name for moment in search(request)]


def ask(
    text: str, choices: tuple[str, ...] = (), sheet: Path | None = None, **options: object
) -> Answer:
    """Ask the library."""
    asked = {k: v for k, v in options.items() if k in ("options", "clips")}
    chosen = {k: v for k, v in options.items() if k not in asked}
    request = AskRequest(LIBRARY, text, choices=choices, sheet=sheet, **asked)
    request = replace(request, library=replace(LibraryOptions(), **chosen))
    return ask_pipeline(request, Machine(device="cpu")).answer


def all_segments() -> list[SegmentRow]:
    """Return all segments with vectors and pictures."""
    held = Library.open(LIBRARY).segments
    return [one for content in sorted(held.contents()) for one in held.of(content)]


def segment(content_id: str, start: float, text: str, vector: np.ndarray) -> SegmentRow:
    """Return a segment of one second."""
    return SegmentRow(content_id, start, start + 1, False, text, "", text, vector)


def small_library() -> Library:
    """Return an empty library of a made-up contract."""
    manifest = Manifest("s", "f", "fixed:10s", "d", "lexical-1", "lexical", DIM, {})
    with writing(LIBRARY):
        return Library.create(LIBRARY, manifest)
