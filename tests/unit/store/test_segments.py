"""Tables of segments."""

from tests.libraries import LIBRARY, segment, small_library
from videolatent_cli.pipeline.library.embedders.lexical import lexical_vectors
from videolatent_cli.store.library import writing


def test_near_duplicates_are_one_hit() -> None:
    library = small_library()
    vector = lexical_vectors(["red square"])[0]
    rows = [segment(f"{n:032x}", 0.0, "red square", vector) for n in range(3)]
    rows.append(segment(f"{9:032x}", 0.0, "blue dog", lexical_vectors(["blue dog"])[0]))
    with writing(LIBRARY):
        library.segments.put(rows)
    hits = library.segments.search(4, vector)
    assert [len(hit.near_duplicates) for hit in hits] == [2, 0]
