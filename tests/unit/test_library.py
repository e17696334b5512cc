"""Libraries: what is new is read, what is known is not; found by content and name; nothing lost."""

import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.factories import SHARED_VIDEOS, make_video, write_jsonl
from tests.libraries import LIBRARY, all_segments, ask, names, run, segment, small_library
from videolatent_cli.errors import (
    DataError,
    IncompatibleError,
    InterruptedRunError,
    ResourceError,
    UsageError,
    VideoError,
)
from videolatent_cli.model import source as model_source
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.answering.evidence import cut_evidence
from videolatent_cli.pipeline.batch import BatchRequest, answer_batch
from videolatent_cli.pipeline.library.embedders.lexical import DIM, coverage, lexical_vectors
from videolatent_cli.pipeline.library.local_builder import LocalBuilder
from videolatent_cli.pipeline.library.maintenance import (
    compact_library,
    export_library,
    library_files,
    library_problems,
    library_status,
    relocate_library,
    remove_from_library,
    show_file,
)
from videolatent_cli.pipeline.library.scan import walk_videos
from videolatent_cli.pipeline.library.search import SearchRequest, search, write_search_page
from videolatent_cli.pipeline.library.segmenting import parse_segments
from videolatent_cli.runtime import interrupt
from videolatent_cli.runtime.isolation import Isolation
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library, writing
from videolatent_cli.store.library_rows import FileRow
from videolatent_cli.video.content import content_id

# --- indexing


def test_only_what_is_new_is_read(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run(media)
    assert (report.new, report.unchanged, report.failed, report.segments) == (4, 0, {}, 4)
    monkeypatch.setattr("videolatent_cli.pipeline.library.indexer.open_model", None)
    before = {path: path.stat().st_mtime_ns for path in LIBRARY.rglob("*") if path.is_file()}
    again = run(media)
    assert (again.new, again.unchanged, again.segments) == (0, 4, 4)
    after = {path: path.stat().st_mtime_ns for path in LIBRARY.rglob("*") if path.is_file()}
    assert {p.name for p in before.keys() ^ after.keys()} == set()
    assert all(after[p] == t for p, t in before.items() if not p.name.endswith(".lock"))


def test_renamed_and_copied_files_are_known_by_content(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(media)
    first = media / "val/000000.mp4"
    shutil.copy(first, media / "copy.mp4")
    first.rename(media / "renamed.mp4")
    monkeypatch.setattr("videolatent_cli.pipeline.library.local_builder.decode_frames", None)
    report = run(media)
    assert (report.new, report.vanished, report.segments) == (2, 1, 4)
    (moment,) = search(SearchRequest("renamed copy", LIBRARY, under="re"))
    assert [path.name for path in moment.paths] == ["renamed.mp4"]
    states = {path.name: row.state for path, row in library_files(LIBRARY)}
    assert states["000000.mp4"] == "vanished"
    assert run(media).vanished == 0
    assert run(media, prune=True).vanished == 1
    assert len(library_files(LIBRARY)) == 5
    assert library_problems(LIBRARY) == []


def test_a_changed_file_is_read_again(media: Path) -> None:
    run(media)
    make_video(media / "val/000000.mp4", num_frames=40)
    report = run(media)
    assert (report.new, report.unchanged) == (1, 3)
    run(media, prune=True)
    assert library_problems(LIBRARY) == [
        problem for problem in library_problems(LIBRARY) if "belong to no file" in problem
    ]


def test_what_training_cached_is_not_decoded(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        {"id": path.name, "question": "Which color moved first?", "video": str(path)}
        for path in sorted((media / "val").glob("*.mp4"))
    ]
    write_jsonl(Path("q.jsonl"), asked)
    answer_batch(BatchRequest(Path("q.jsonl"), Path("a.jsonl"), Path()), Machine(device="cpu"))
    monkeypatch.setattr("videolatent_cli.pipeline.library.local_builder.decode_frames", None)
    assert run(media).new == 4
    assert [one.thumbnail for one in all_segments()] == [None] * 4


def test_long_videos_have_segments_with_evidence_inside(media: Path) -> None:
    make_video(media / "long.mp4", num_frames=260)
    report = run(media / "long.mp4")
    assert report.segments == 3
    shown = show_file(LIBRARY, media / "long.mp4")
    spans = [(one["start_seconds"], one["end_seconds"]) for one in shown["segments"]]
    assert spans == [(0.0, 10.0), (10.0, 20.0), (20.0, 26.0)]


def test_bad_files_cost_only_themselves(media: Path) -> None:
    good = media / "val/000001.mp4"
    content = good.read_bytes()
    good.write_bytes(b"broken" * 100)
    (media / "copy.mp4").write_bytes(b"broken" * 100)
    report = run(media)
    assert (report.new, len(report.failed)) == (3, 2)
    assert "cannot be opened as video" in report.failed[str(good)]
    assert run(media).failed == {}
    good.write_bytes(content)
    assert run(media).new == 1
    assert len(run(media, retry_failed=True).failed) == 1
    assert list(library_status(LIBRARY).failed) == [str(media / "copy.mp4")]


def test_a_file_that_decodes_badly_takes_its_copies_along(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(media / "val/000000.mp4", media / "copy.mp4")

    def spoiled(isolation: Isolation, function: object, path: Path, *args: object) -> object:
        if getattr(function, "__name__", "") == "decode_frames" and "000000" in path.name:
            raise VideoError(f"{path}: spoiled")
        return whole(isolation, function, path, *args)

    # copy.mp4 comes before val/ and is the one that is decoded
    (media / "copy.mp4").rename(media / "000000.mp4")
    whole = Isolation.run
    monkeypatch.setattr(Isolation, "run", spoiled)
    report = run(media)
    assert len(report.failed) == 2
    assert library_problems(LIBRARY) == []


def test_files_that_vanish_or_change_meanwhile_cost_only_themselves(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late, broken, other = (media / f"{name}.mp4" for name in "abcd")
    for seconds, path in enumerate((early, late, broken, other), 2):
        make_video(path, 4 * seconds, 4)
    set_roots, build = Library.set_roots, LocalBuilder.build

    def set_roots_late(library: Library, roots: list[str]) -> None:
        early.unlink()  # listed, not looked at yet
        set_roots(library, roots)

    def build_late(builder: LocalBuilder, *rest: Any) -> Any:
        late.unlink()  # probed, not decoded yet
        broken.write_bytes(b"no video any more")
        shutil.copy(media / "val/000000.mp4", other)
        return build(builder, *rest)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Library, "set_roots", set_roots_late)
        meanwhile.setattr(LocalBuilder, "build", build_late)
        report = run(media)
    assert report.failed.keys() == {str(path) for path in (early, late, broken, other)}
    assert "file not found" in report.failed[str(early)]
    assert "file not found" in report.failed[str(late)]
    assert "cannot be opened as video" in report.failed[str(broken)]
    assert "has changed since it was first read" in report.failed[str(other)]
    assert library_problems(LIBRARY) == []
    again = run(media)
    assert (again.vanished, list(again.failed)) == (2, [str(broken)])
    copies = {row.content_id for row in Library.open(LIBRARY).files() if row.path == "d.mp4"}
    assert copies == {content_id(media / "val/000000.mp4")}


def test_ctrl_c_keeps_what_is_indexed(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(interrupt.StopRequest):
        def check(self, what: str, resume: str) -> None:
            if what.startswith("2 "):
                self.signal = 2
            super().check(what, resume)

    with monkeypatch.context() as patch:
        patch.setattr(LocalBuilder, "files_at_once", 2)
        patch.setattr("videolatent_cli.pipeline.library.index.StopRequest", Impatient)
        with pytest.raises(InterruptedRunError, match="2 files are indexed; resume with"):
            run(media)
    assert library_status(LIBRARY).states == {"indexed": 2, "pending": 2}
    assert library_problems(LIBRARY) == []
    assert len(names("val")) == 2
    assert run(media).unchanged == 2
    assert library_problems(LIBRARY) == []


def test_a_kill_between_segments_and_files_doubles_nothing(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_files = Library.put_files

    def killed(self: Library, rows: list[FileRow]) -> None:
        if any(row.state == "indexed" for row in rows):
            raise KeyboardInterrupt
        put_files(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Library, "put_files", killed)
        with pytest.raises(KeyboardInterrupt):
            run(media)
    assert len(Library.open(LIBRARY).segments) == 4
    assert library_problems(LIBRARY) != []
    assert run(media).new == 4
    assert library_problems(LIBRARY) == []
    assert len(Library.open(LIBRARY).segments) == 4


def test_strange_names_and_loops(media: Path) -> None:
    strange = [
        b"new\nline.mp4",
        b"bad\xff\xfename.mp4",
        b"-dash and space.mp4",
        "\u00fc\U0001f3a5.mp4".encode(),
    ]
    for number, name in enumerate(strange):
        target = os.fsencode(media) + b"/" + name
        Path(os.fsdecode(target)).write_bytes((media / f"val/{number:06d}.mp4").read_bytes())
    (media / "loop").symlink_to(media)
    (media / "dangling.mp4").symlink_to(media / "nowhere.mp4")
    (media / ".hidden.mp4").write_bytes(b"x")
    report = run(media)
    assert (report.new, report.segments) == (8, 4)
    (Path(os.fsdecode(os.fsencode(media) + b"/bad\xff.mp4"))).write_bytes(b"x")
    (reason,) = run(media).failed.values()
    assert "bad\\xff.mp4: cannot be opened as video" in reason
    answer = ask("bad", min_score=0.0, where="path LIKE 'bad%'")
    assert answer.evidence[0].video.endswith("bad\\xff\\xfename.mp4")
    assert "xfename" in answer.model_dump_json()
    paths = {path for path, _ in library_files(LIBRARY)}
    assert all(path.exists() for path in paths)
    assert any("\\xff" in row.path for _, row in library_files(LIBRARY))


def test_walk_takes_patterns_and_single_files(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.MKV", "c.txt", "sub/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def found(top: Path, include: str | None = None) -> list[str]:
        return [video.path.name for video in walk_videos(top, include, lambda *_: None)]

    assert found(tmp_path) == ["a.mp4", "b.MKV", "d.mp4"]
    assert found(tmp_path, "*.txt") == ["c.txt"]
    assert found(tmp_path / "c.txt") == ["c.txt"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_costs_only_itself(media: Path) -> None:
    hidden = media / "val/000000.mp4"
    hidden.chmod(0)
    report = run(media)
    assert (report.new, list(report.failed)) == (3, [str(hidden)])
    assert "not readable (Permission denied)" in report.failed[str(hidden)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_unreadable_folders_are_said(media: Path) -> None:
    (media / "val").chmod(0)
    try:
        with pytest.raises(DataError, match="holds no video"):
            run(media)
    finally:
        (media / "val").chmod(0o755)


@pytest.mark.parametrize(
    ("duration", "cut"),
    [
        (3.0, [(0.0, 3.0)]),
        (14.0, [(0.0, 14.0)]),
        (15.0, [(0.0, 10.0), (10.0, 15.0)]),
        (24.0, [(0.0, 10.0), (10.0, 24.0)]),
    ],
)
def test_segments_have_no_gaps_and_no_scraps(
    duration: float, cut: list[tuple[float, float]]
) -> None:
    assert parse_segments("fixed:10s").cut(Path(), duration) == cut


# --- isolation


def crash(path: Path) -> None:
    os._exit(9)


def hang(path: Path) -> None:
    time.sleep(60)


def gorge(path: Path) -> int:
    return len(bytearray(64 << 30))


def name_of(path: Path, suffix: str) -> str:
    return path.name + suffix


def test_a_crash_a_hang_and_a_glutton_cost_one_file_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("videolatent_cli.runtime.isolation._GRACE_SECONDS", 0.0)
    with Isolation(1, 3.0) as isolation:
        path = Path("a.mp4")
        with pytest.raises(VideoError, match=r"a.mp4: crashed the program that read it .*9"):
            isolation.run(crash, path)
        with pytest.raises(VideoError, match=r"a.mp4: took longer than 3 s to read"):
            isolation.run(hang, path)
        with pytest.raises(VideoError, match=r"a.mp4: took more than 8 GiB to read"):
            isolation.run(gorge, path)
        assert isolation.run(name_of, path, "!") == "a.mp4!"


# --- searching


def test_vectors_of_texts() -> None:
    vectors = lexical_vectors(["red square moved up", "a red square moves up", "blue dog", ""])
    assert vectors.shape == (4, DIM)
    assert np.linalg.norm(vectors[:3], axis=1) == pytest.approx(1.0)
    assert vectors[0] @ vectors[1] > 0.3
    assert vectors[0] @ vectors[2] < 0.2
    assert not vectors[3].any()
    assert coverage("red square", "the red square moved") == 1.0
    assert coverage("red square", "square red") == pytest.approx((2 * 0.5 + 16 * 0.05) / 3.8)
    assert coverage("", "red") == 0.0


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


def test_seen_things_are_found(media: Path) -> None:
    run(media)
    for one in all_segments():
        (best,) = search(SearchRequest(one.description, LIBRARY, 1))
        assert best.segment.content_id == one.content_id
        assert best.score > 0.8


def test_the_best_score_comes_first(media: Path) -> None:
    run(media)
    for query in ("red square moves up", "blue circle", "triangle"):
        scores = [moment.score for moment in search(SearchRequest(query, LIBRARY, 4))]
        assert scores == sorted(scores, reverse=True)


def test_near_duplicates_are_one_hit() -> None:
    library = small_library()
    vector = lexical_vectors(["red square"])[0]
    rows = [segment(f"{n:032x}", 0.0, "red square", vector) for n in range(3)]
    rows.append(segment(f"{9:032x}", 0.0, "blue dog", lexical_vectors(["blue dog"])[0]))
    with writing(LIBRARY):
        library.segments.put(rows)
    hits = library.segments.search(4, vector)
    assert [len(hit.near_duplicates) for hit in hits] == [2, 0]


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


def test_wrong_queries(media: Path) -> None:
    with pytest.raises(DataError, match="lib: contains no library; make one with: vl index"):
        names("x")
    run(media)
    with pytest.raises(UsageError, match="QUERY: must not be empty"):
        names(" ")
    with pytest.raises(UsageError, match=r"--where: cannot be used, got 'nope > 1'"):
        names("x", where="nope > 1")


# --- asking


def test_ask_answers_from_stored_features_with_real_times(
    media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (media / "val/000001.mp4").rename(media / "yard.mp4")
    run(media)
    monkeypatch.setattr(model_source, "decode_frames", None)
    answer = ask("Which color moved first in the yard?", count=1, min_score=0.05)
    assert (answer.status, answer.cache_hit) == ("ok", True)
    assert answer.answer
    assert all(moment.video == str(media / "yard.mp4") for moment in answer.evidence)
    assert all(0 <= moment.start_seconds <= 4 for moment in answer.evidence)
    several = ask("Which color moved first in the yard?", count=4, min_score=0.0)
    assert several.status == "ok"


def test_what_was_indexed_is_answered_though_the_file_changed_or_went(media: Path) -> None:
    video = media / "val/000001.mp4"

    def asked(sheet: Path | None = None) -> Answer:
        where = "path LIKE '%1.mp4'"
        return ask("Which color moved first?", sheet=sheet, where=where, min_score=0.0)

    run(media)
    before = asked()
    make_video(video, num_frames=40)
    after = asked()
    assert (after.answer, after.evidence) == (before.answer, before.evidence)
    with pytest.raises(VideoError, match=r"000001.mp4: has changed since .* vl index first"):
        cut_evidence(after, Path("clips"))
    with pytest.raises(VideoError, match=r"000001.mp4: has changed since"):
        asked(sheet=Path("sheet.png"))
    video.unlink()
    gone = asked()
    assert (gone.answer, gone.cache_hit) == (before.answer, True)
    shutil.rmtree("cache")
    make_video(video, num_frames=40)
    with pytest.raises(VideoError, match=r"000001.mp4: has changed since"):
        asked()


def test_nothing_found_is_said(media: Path) -> None:
    run(media)
    answer = ask("Why?", min_score=0.99)
    assert (answer.status, answer.answer, answer.evidence) == ("not_found", "", [])
    assert answer.warnings == [
        "no moment of the library scores 0.99 or more; ask about something that its videos show, or lower --min-score"
    ]


def test_batch_asks_the_library_and_knows_its_videos(media: Path) -> None:
    run(media)
    (row,) = [row for path, row in library_files(LIBRARY) if path.name == "000002.mp4"]
    questions = [
        {"id": "all", "question": "Which color moved first?"},
        {"id": "path", "question": "Which color moved first?", "video": "val/000002.mp4"},
        {"id": "content", "question": "Which color moved first?", "video": row.content_id},
    ]
    write_jsonl(Path("q.jsonl"), questions)
    request = BatchRequest(Path("q.jsonl"), Path("a.jsonl"), Path("nowhere"))
    with pytest.raises(DataError, match=r"video: is missing in 'all' \(1 such questions\)"):
        answer_batch(request, Machine(device="cpu"))
    answer_batch(replace(request, library=LIBRARY), Machine(device="cpu"))
    lines = Path("a.jsonl").read_text().splitlines()
    answers = {a.id: a for a in map(Answer.model_validate_json, lines)}
    assert answers["path"].answer == answers["content"].answer
    assert answers["all"].status in ("ok", "not_found")


# --- care


def test_status_rm_export_and_compact(media: Path) -> None:
    run(media)
    status = library_status(LIBRARY)
    assert status.states == {"indexed": 4}
    assert status.document()["schema"] == "vl.library-status/1"
    assert status.made_with["segments"] == "fixed:10s"
    assert export_library(LIBRARY, Path("x.parquet")) == 4
    assert "thumbnail" in pq.read_table("x.parquet").column_names
    assert export_library(LIBRARY, Path("x.jsonl")) == 4
    line = json.loads(Path("x.jsonl").read_text().splitlines()[0])
    assert Path(line["videos"][0]).exists()
    with pytest.raises(DataError, match=r"x.csv: must end in .parquet or .jsonl, got '.csv'"):
        export_library(LIBRARY, Path("x.csv"))
    assert remove_from_library(LIBRARY, [media / "val/000000.mp4"], dry_run=True) == 1
    assert len(library_files(LIBRARY)) == 4
    assert remove_from_library(LIBRARY, [media / "val/000000.mp4"], dry_run=False) == 1
    assert library_status(LIBRARY).segments == 3
    with pytest.raises(DataError, match=r"no.mp4: not in lib; 'vl library ls' lists"):
        remove_from_library(LIBRARY, [Path("no.mp4")], dry_run=False)
    compact_library(LIBRARY)
    assert library_problems(LIBRARY) == []


def test_moved_roots_are_not_read_again(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(media)
    moved = media.with_name("moved")
    media.rename(moved)
    with pytest.raises(DataError, match="has no root"):
        relocate_library(LIBRARY, "/nope", moved)
    with pytest.raises(DataError, match="is not a folder"):
        relocate_library(LIBRARY, str(media), Path("nope"))
    relocate_library(LIBRARY, str(media), moved)
    monkeypatch.setattr("videolatent_cli.pipeline.library.indexer.open_model", None)
    assert run(moved).unchanged == 4
    assert all(path.exists() for path, _ in library_files(LIBRARY))


def test_folders_inside_and_beside_share_one_row_a_file(media: Path) -> None:
    run(media / "val/000000.mp4")
    assert run(media / "val").new == 3
    report = run(media)
    assert (report.new, report.unchanged, report.vanished) == (0, 4, 0)
    paths = [path for path, row in library_files(LIBRARY) if row.state == "indexed"]
    assert len(paths) == len(set(paths))


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


def test_other_contracts_and_newer_layouts_are_refused(media: Path) -> None:
    run(media)
    with pytest.raises(IncompatibleError, match="made with segments fixed:10s, got"):
        run(media, segments="fixed:5s")
    manifest = LIBRARY / "library.json"
    text = manifest.read_text()
    stored = json.loads(text)
    manifest.write_text(json.dumps(stored | {"sampling": "other"}))
    (media / "new.mp4").write_bytes((media / "val/000000.mp4").read_bytes() + b"x")
    with pytest.raises(IncompatibleError, match="made with sampling other, got"):
        run(media)
    with pytest.raises(IncompatibleError, match="made with sampling other"):
        ask("Which color moved first?", min_score=0.0)
    manifest.write_text(json.dumps(stored | {"version": 99}))
    with pytest.raises(IncompatibleError, match="has layout 99, this version reads 3; update"):
        run(media)
    manifest.write_text("{")
    with pytest.raises(IncompatibleError, match="is not a library manifest"):
        run(media)


def test_one_writer_at_a_time(media: Path) -> None:
    with (
        writing(LIBRARY),
        pytest.raises(ResourceError, match="lib: another process is writing this library"),
    ):
        run(media)
    held = threading.Event()

    def write() -> None:
        with writing(LIBRARY):
            held.set()
            time.sleep(1.0)

    threading.Thread(target=write).start()
    held.wait()
    started = time.perf_counter()
    assert run(media, wait=True).new == 4
    assert time.perf_counter() - started > 0.9


def test_wrong_paths_and_rules(media: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere: file not found"):
        run(Path("nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no video; name another folder"):
        run(tmp_path / "empty")
    for text in ("10s", "fixed:0s", "scene"):
        with pytest.raises(UsageError, match=f"--segments: must be like fixed:10s.*got '{text}'"):
            parse_segments(text)


# --- real files


@pytest.mark.slow
@pytest.mark.skipif(not SHARED_VIDEOS.exists(), reason="needs shared/videos")
def test_real_and_odd_files_as_documented() -> None:
    report = run(SHARED_VIDEOS / "content", SHARED_VIDEOS / "odd")
    videos = {path for path, row in library_files(LIBRARY) if row.state == "indexed"}
    content = {path for path in videos if path.parent.name == "content"}
    assert len(content) == len(list((SHARED_VIDEOS / "content").iterdir()))
    for path in sorted(content):
        found = search(SearchRequest(path.stem.replace("_", " "), LIBRARY, 3))
        assert any(path in moment.paths for moment in found), path
    for path, row in library_files(LIBRARY):
        if path in content:
            answer = ask("Which color moved first?", under=str(path), min_score=0.0)
            assert answer.evidence, path
            assert all(
                0 <= moment.start_seconds <= moment.end_seconds <= row.duration_seconds
                for moment in answer.evidence
            ), path
    assert sorted(Path(path).name for path in report.failed) == [
        "exo_audio_only_opus.mp4",
        "exo_clearkey_encrypted.mp4",
        "exo_vp9_invalid_bitstream.webm",
        "mediabunny_annexb_truncated.mp4",
        "mp4parse_chunk_out_of_range.mp4",
    ]
    assert library_problems(LIBRARY) == []
    assert FeatureCache(Path("cache")).verify().bad_keys == ()
