"""`vl search`: every file is found by its name and by what is seen in it."""

import os
from pathlib import Path

import opentimelineio as otio
import pytest

from tests.libraries import LIBRARY, all_segments, names, run
from videolatent_cli.errors import DataError, UsageError
from videolatent_cli.pipeline.library.search import (
    SearchRequest,
    export_moments,
    search,
    write_search_page,
)


def test_every_file_is_found_by_its_name(media: Path) -> None:
    (media / "val/000002.mp4").rename(media / "harbour_camera-7.mp4")
    run(media)
    assert names("harbour", count=1) == ["harbour_camera-7.mp4"]
    assert names("harbour camera", count=1, mode="text") == ["harbour_camera-7.mp4"]
    assert names("harbour camera", count=1, mode="vector") == ["harbour_camera-7.mp4"]
    assert names("harbour", under="val") != []
    assert "harbour_camera-7.mp4" not in names("harbour", under="val")
    for folder in (str(media / "val"), os.path.relpath(media / "val")):
        assert names("harbour", under=folder) == names("harbour", under="val")
    Path("link").symlink_to(media)
    run(Path("link"), library=Path("linked"))
    assert names("harbour", library=Path("linked"), under="link/val") != []
    with pytest.raises(UsageError, match=r"--under: no file of .* got 'vla'; name a folder"):
        names("harbour", under="vla")
    assert names("harbour", where="path LIKE 'harb%'") == ["harbour_camera-7.mp4"]
    assert names("harbour", where="duration_seconds > 1000") == []
    day = "to_timestamp_nanos(modified_ns) {} timestamp '2020-01-01'"
    assert names("harbour", where=day.format(">"))[0] == "harbour_camera-7.mp4"
    assert names("harbour", where=day.format("<")) == []
    assert names("harbour", min_score=2.0) == []


def test_seen_things_are_found(indexed: Path) -> None:
    for one in all_segments():
        (best,) = search(SearchRequest(one.description, LIBRARY, 1))
        assert best.segment.content_id == one.content_id
        assert best.score > 0.8


def test_the_best_score_comes_first(indexed: Path) -> None:
    for query in ("red square moves up", "blue circle", "triangle"):
        scores = [moment.score for moment in search(SearchRequest(query, LIBRARY, 4))]
        assert scores == sorted(scores, reverse=True)


def test_the_search_page_escapes_and_links(media: Path) -> None:
    (media / "val/000000.mp4").rename(media / "a<b>&.mp4")
    run(media)
    request = SearchRequest("<script>", LIBRARY)
    write_search_page(request, search(request), Path("s.html"))
    page = Path("s.html").read_text()
    assert "Moments for: &lt;script&gt;" in page
    assert "a&lt;b&gt;&amp;.mp4" in page
    assert page.count("data:image/jpeg") == 4
    assert f"{media.as_uri()}/a%3Cb%3E%26.mp4#t=0.00" in page


def test_wrong_queries(indexed: Path) -> None:
    del indexed
    with pytest.raises(DataError, match="none: contains no library; make one with: vl index"):
        names("x", library=Path("none"))
    with pytest.raises(UsageError, match="QUERY: must not be empty"):
        names(" ")
    with pytest.raises(UsageError, match=r"--where: cannot be used, got 'nope > 1'"):
        names("x", where="nope > 1")


def test_lists_for_players_and_editing_programs(media: Path) -> None:
    (media / "val/000003.mp4").rename(media / "two words.mp4")
    run(media)
    request = SearchRequest("red", LIBRARY, 2)
    moments = search(request)
    for name in ("x.m3u", "x.edl", "x.otio"):
        export_moments(request, moments, Path(name))
    lines = Path("x.m3u").read_text().splitlines()
    assert lines[0] == "#EXTM3U"
    assert [line for line in lines if line.startswith("/")] == [str(m.paths[0]) for m in moments]
    assert "#EXTVLCOPT:start-time=0.000" in lines
    for name in ("x.edl", "x.otio"):
        (track,) = otio.adapters.read_from_file(name).tracks
        clips = [(c.name, c.source_range.duration.to_seconds()) for c in track.find_clips()]
        assert clips == [(m.paths[0].name, pytest.approx(4.0)) for m in moments]
    with pytest.raises(UsageError, match=r"--export: must end in .m3u, .edl or .otio, got 'x.t'"):
        export_moments(request, moments, Path("x.t"))
