"""Libraries on disk: problems are named."""

from tests.libraries import LIBRARY, segment, small_library
from videolatent_cli.pipeline.library.embedders.lexical import lexical_vectors
from videolatent_cli.store.library import writing
from videolatent_cli.store.library_rows import FileRow


def test_problems_are_named() -> None:
    library = small_library()
    vector = lexical_vectors(["x"])[0]
    with writing(LIBRARY):
        library.segments.put([segment("a" * 32, 0.0, "x", vector)] * 2)
        library.put_files([FileRow(0, b"f.mp4", 1, 1, "indexed", "b" * 32)])
    assert library.problems() == [
        "segments: 1 duplicate rows",
        f"segments of {'a' * 32}: belong to no file",
        "file f.mp4: is indexed but has no segment",
    ]
