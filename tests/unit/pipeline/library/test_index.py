"""`vl index`: only what is new is read, what is known is not, and nothing is lost."""

import json
import shutil
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import watchfiles

from tests.factories import SHARED_VIDEOS, make_video
from tests.libraries import LIBRARY, ask, names, run
from videolatent_cli.errors import IncompatibleError, InterruptedRunError, ResourceError
from videolatent_cli.pipeline.library.index import watch_for_changes
from videolatent_cli.pipeline.library.local_builder import LocalBuilder
from videolatent_cli.pipeline.library.maintenance import (
    library_files,
    library_problems,
    library_status,
)
from videolatent_cli.pipeline.library.scan import IndexRequest
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.runtime import interrupt
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import writing


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
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = indexed / "val/000000.mp4"
    shutil.copy(first, indexed / "copy.mp4")
    first.rename(indexed / "renamed.mp4")
    monkeypatch.setattr("videolatent_cli.pipeline.library.local_builder.decode_frames", None)
    report = run(indexed)
    assert (report.new, report.vanished, report.segments) == (2, 1, 4)
    (moment,) = search(SearchRequest("renamed copy", LIBRARY, under="re"))
    assert [path.name for path in moment.paths] == ["renamed.mp4"]
    states = {path.name: row.state for path, row in library_files(LIBRARY)}
    assert states["000000.mp4"] == "vanished"
    assert run(indexed).vanished == 0
    assert run(indexed, prune=True).vanished == 1
    assert len(library_files(LIBRARY)) == 5
    assert library_problems(LIBRARY) == []


def test_a_changed_file_is_read_again(indexed: Path) -> None:
    make_video(indexed / "val/000000.mp4", num_frames=40)
    report = run(indexed)
    assert (report.new, report.unchanged) == (1, 3)
    run(indexed, prune=True)
    assert library_problems(LIBRARY) == [
        problem for problem in library_problems(LIBRARY) if "belong to no file" in problem
    ]


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


def test_folders_inside_and_beside_share_one_row_a_file(media: Path) -> None:
    run(media / "val/000000.mp4")
    assert run(media / "val").new == 3
    report = run(media)
    assert (report.new, report.unchanged, report.vanished) == (0, 4, 0)
    paths = [path for path, row in library_files(LIBRARY) if row.state == "indexed"]
    assert len(paths) == len(set(paths))


def test_other_contracts_and_newer_layouts_are_refused(indexed: Path) -> None:
    with pytest.raises(IncompatibleError, match="made with segments fixed:10s, got"):
        run(indexed, segments="fixed:5s")
    manifest = LIBRARY / "library.json"
    text = manifest.read_text()
    stored = json.loads(text)
    manifest.write_text(json.dumps(stored | {"sampling": "other"}))
    (indexed / "new.mp4").write_bytes((indexed / "val/000000.mp4").read_bytes() + b"x")
    with pytest.raises(IncompatibleError, match="made with sampling other, got"):
        run(indexed)
    with pytest.raises(IncompatibleError, match="made with sampling other"):
        ask("Which color moved first?", min_score=0.0)
    manifest.write_text(json.dumps(stored | {"version": 99}))
    with pytest.raises(IncompatibleError, match="has layout 99, this version reads 3; update"):
        run(indexed)
    manifest.write_text("{")
    with pytest.raises(IncompatibleError, match="is not a library manifest"):
        run(indexed)


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


def test_watching_tells_of_new_videos_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videolatent_cli.pipeline.library.index._QUIET_MS", 200)
    monkeypatch.setattr(watchfiles, "watch", partial(watchfiles.watch, rust_timeout=500))
    folder = tmp_path / "watched"
    folder.mkdir()
    told = watch_for_changes(IndexRequest((folder,), LIBRARY))

    next(told)  # what changed before is told once
    timers = [
        threading.Timer(seconds, (folder / name).write_text, ("x",))
        for seconds, name in ((0.2, "a.txt"), (1.5, "a.mp4"))
    ]
    started = time.perf_counter()
    for timer in timers:
        timer.start()
    next(told)
    assert time.perf_counter() - started > 1.2
    told.close()
