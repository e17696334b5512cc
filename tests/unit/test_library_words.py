"""Libraries by words: subtitles, notes, renamed files, older layouts, lists of moments, clips."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import lancedb
import opentimelineio as otio
import pytest

from tests.conftest import Result
from tests.factories import make_video
from tests.libraries import LIBRARY, all_segments, ask, names, run
from videolatent_cli.errors import DataError, IncompatibleError, UsageError, VideoError
from videolatent_cli.pipeline.answering.answerer import AnswerOptions
from videolatent_cli.pipeline.answering.evidence import cut_evidence
from videolatent_cli.pipeline.library.ask_many import per_video_question
from videolatent_cli.pipeline.library.index import watch_for_changes
from videolatent_cli.pipeline.library.maintenance import (
    library_problems,
    migrate_library,
    show_file,
)
from videolatent_cli.pipeline.library.scan import IndexRequest
from videolatent_cli.pipeline.library.search import SearchRequest, export_moments, search
from videolatent_cli.pipeline.library.segmenting import (
    parse_segments,
    scenes_between,
)
from videolatent_cli.pipeline.library.transcripts import Caption, read_subtitles, transcript_between
from videolatent_cli.store import migrate as migrating
from videolatent_cli.video.cut import cut_clip
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.info import read_info

SUBTITLES = """1
00:00:01,000 --> 00:00:02,500
<i>The harbour</i>

2
00:00:12,000 --> 00:00:13,000
sleeps {\\an8}tonight
"""


def with_stream(video: Path, subtitles: Path, out: Path, codec: str) -> Path:
    """Put subtitles into a copy of a video."""
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", "-i", video, "-i", subtitles]
    subprocess.run([*command, "-c:v", "copy", "-c:s", codec, out], check=True)
    return out


# --- what is said


def test_subtitles_beside_and_inside(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", num_frames=150)
    beside = tmp_path / "a.srt"
    beside.write_text(SUBTITLES)
    wanted = [Caption(1.0, 2.5, "The harbour"), Caption(12.0, 13.0, "sleeps tonight")]
    assert read_subtitles(video, [beside], 0.0) == wanted
    assert read_subtitles(video, [], 0.0) == []
    for name, codec in (("s.mp4", "mov_text"), ("s.mkv", "srt"), ("w.webm.mkv", "webvtt")):
        inside = with_stream(video, beside, tmp_path / name, codec)
        assert read_subtitles(inside, [], 0.0) == wanted
    assert read_subtitles(inside, [], 0.5)[0] == Caption(0.5, 2.0, "The harbour")
    assert transcript_between(wanted, 0.0, 10.0) == "The harbour"
    assert transcript_between(wanted, 2.5, 12.5) == "sleeps tonight"
    assert transcript_between([*wanted, *wanted], 0.0, 20.0) == "The harbour sleeps tonight"


def test_broken_subtitles_are_named(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4")
    for content in (b"\xff\xfe\x00", b"no subtitles"):
        (tmp_path / "a.srt").write_bytes(content)
        with pytest.raises(VideoError, match=r"a.srt: cannot be read as UTF-8 subtitles \("):
            read_subtitles(video, [tmp_path / "a.srt"], 0.0)


def test_what_is_said_is_found_and_changes(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    video = make_video(media / "a.mp4", num_frames=200)
    (media / "a.en.srt").write_text(SUBTITLES)
    assert run(media).new == 1
    (found,) = search(SearchRequest("harbour tonight", LIBRARY, 1))
    assert found.document()["transcript"] in ("The harbour", "sleeps tonight")
    assert [one.transcript for one in all_segments()] == ["The harbour", "sleeps tonight"]
    assert show_file(LIBRARY, video)["segments"][1]["transcript"] == "sleeps tonight"
    pictures = [one.thumbnail for one in all_segments()]
    (media / "a.en.srt").write_text(SUBTITLES.replace("harbour", "lighthouse"))
    assert run(media).new == 1
    assert [one.transcript for one in all_segments()] == ["The lighthouse", "sleeps tonight"]
    assert [one.thumbnail for one in all_segments()] == pictures
    (media / "a.en.srt").write_bytes(b"\xff")
    assert run(media).new == 1
    assert [one.transcript for one in all_segments()] == ["", ""]
    assert library_problems(LIBRARY) == []


def test_notes_are_found_filtered_and_kept(media: Path) -> None:
    notes = media / "notes.csv"
    notes.write_text("video,place,year\nval/000001.mp4,Rotterdam,1953\nval/no.mp4,nowhere,1\n")
    run(media)
    assert run(media, metadata=notes).new == 1
    assert names("Rotterdam", count=1) == ["000001.mp4"]
    assert names("red", where="notes LIKE '%Rotterdam%'") == ["000001.mp4"]
    assert run(media).unchanged == 4
    shown = show_file(LIBRARY, media / "val/000001.mp4")
    assert shown["notes"] == {"place": "Rotterdam", "year": "1953"}
    notes.write_text("place\nx\n")
    with pytest.raises(DataError, match=r"notes.csv:2: video: is missing"):
        run(media, metadata=notes)


def test_a_renamed_file_is_found_by_its_new_name(media: Path) -> None:
    run(media)
    (media / "val/000000.mp4").rename(media / "lighthouse.mp4")
    run(media)
    (found,) = search(SearchRequest("lighthouse", LIBRARY, 1, "text"))
    assert found.paths[0].name == "lighthouse.mp4"
    shutil.copy(media / "lighthouse.mp4", media / "copy.mp4")
    run(media)
    assert search(SearchRequest("lighthouse", LIBRARY, 1, "text"))


# --- layouts


@pytest.mark.parametrize("version", [1, 2])
def test_a_library_of_an_earlier_layout_is_migrated(
    media: Path, monkeypatch: pytest.MonkeyPatch, version: int
) -> None:
    if version == 2:  # the first that knew subtitles
        (media / "val" / "000000.srt").write_text(SUBTITLES)
    run(media)
    before = all_segments()
    _as_layout(version)
    with pytest.raises(IncompatibleError, match=f"has layout {version}.*vl library migrate -L lib"):
        names("red")
    assert migrate_library(LIBRARY)
    assert not migrate_library(LIBRARY)
    after = all_segments()
    assert [asdict(one) | {"vector": 0} for one in after] == [
        asdict(one) | {"vector": 0} for one in before
    ]
    assert all((a.vector == b.vector).all() for a, b in zip(after, before, strict=True))
    assert run(media).unchanged == 4
    _as_layout(version)
    with monkeypatch.context() as patch:
        patch.setattr(migrating.Manifest, "write", None)  # killed before the new layout counts
        with pytest.raises(TypeError):
            migrate_library(LIBRARY)
    database = lancedb.connect(str(LIBRARY / "library.lancedb"))
    for name in set(database.list_tables().tables) - {"files", "segments_old"}:
        database.open_table(name).delete("true")  # half-made
    assert run(media).unchanged == 4
    assert len(all_segments()) == 4
    assert library_problems(LIBRARY) == []
    with pytest.raises(DataError, match="nowhere: contains no library"):
        migrate_library(Path("nowhere"))


def _as_layout(version: int) -> None:
    """Rewrite the library as an earlier version had it."""
    path = LIBRARY / "library.json"
    stored = json.loads(path.read_text()) | {"version": version}
    database = lancedb.connect(str(LIBRARY / "library.lancedb"))
    for name in database.list_tables().tables:
        part = name.split("_")[0]
        table = database.open_table(name).to_arrow()
        database.drop_table(name)
        earlier = {"transcript": "said", "is_whole_video": "whole", "subtitles_digest": "beside"}
        table = table.rename_columns([earlier.get(name, name) for name in table.column_names])
        if version == 1:
            table = table.drop_columns(["beside", "notes"] if part == "files" else ["said"])
        database.create_table("files" if part == "files" else "segments_old", table)
    if version == 1:
        descriptions = stored.pop("descriptions")
        stored["embedder"] = f"{stored['embedder']} of descriptions by {descriptions}"
        del stored["embedder_spec"]
    path.write_text(json.dumps(stored))


# --- cutting


def test_scenes_are_cut_where_the_picture_changes(tmp_path: Path) -> None:
    out = tmp_path / "scenes.mp4"
    parts = [("red", 3), ("blue", 4), ("white", 2)]
    command: list[str | Path] = [ffmpeg_binary(), "-y", "-loglevel", "error"]
    for color, seconds in parts:
        command += ["-f", "lavfi", "-i", f"color={color}:size=96x64:rate=25:duration={seconds}"]
    subprocess.run([*command, "-filter_complex", "concat=n=3", out], check=True)
    for rule in ("scenes", "scenedetect"):
        cut = parse_segments(rule).cut(out, read_info(out).duration_seconds)
        starts = [start for start, _ in cut]
        assert starts == pytest.approx([0.0, 3.0, 7.0], abs=0.26), rule
        assert cut[-1][1] == pytest.approx(9.0)
    still = make_video(tmp_path / "still.mp4", num_frames=20)
    assert len(parse_segments("scenes").cut(still, 2.0)) == 1


def test_scenes_are_no_shorter_than_a_second() -> None:
    assert scenes_between([0.5, 2.0, 2.5, 9.5], 10.0) == [(0.0, 2.0), (2.0, 10.0)]
    assert scenes_between([], 0.2) == [(0.0, 0.2)]


def test_a_library_of_scenes(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", num_frames=30)
    assert run(tmp_path / "a.mp4", segments="scenes").segments >= 1
    with pytest.raises(IncompatibleError, match="was made with segments scenes, got"):
        run(tmp_path / "a.mp4")


# --- many videos


@pytest.mark.parametrize(
    ("text", "each"),
    [
        ("In which videos did the red square move?", "which: Did the red square move?"),
        ("How many videos show a dog?", "count: Does the video show a dog?"),
        ("which clip contains a lid", "which: Does the video contain a lid?"),
        ("Which video has a cat", "which: Does the video have a cat?"),
        ("in how many files is there a lid?", "count: Is there a lid?"),
        ("Which color moved first?", None),
        ("How many objects are there?", None),
    ],
)
def test_questions_about_many_videos_are_put_to_each(text: str, each: str | None) -> None:
    found = per_video_question(text)
    assert (found and f"{found.kind}: {found.question}") == each


def test_many_videos_are_asked_and_counted(media: Path) -> None:
    shutil.copy(media / "val/000000.mp4", media / "copy.mp4")
    run(media)
    asked = "Did the red circle move before the blue square?"
    single = {}
    for path in sorted((media / "val").glob("*.mp4")):
        only = f"val/{path.name}"
        single[path.name] = ask(asked, ("yes", "no"), under=only, min_score=0.0).answer
    yes = sorted(name for name, answer in single.items() if answer == "yes")
    which = "In which videos did the red circle move before the blue square?"
    found = ask(which, under="val/", min_score=0.0)
    assert found.answer == "; ".join(yes)
    assert (found.status, found.choice) == ("ok" if yes else "not_found", None)
    count = ask(which.replace("which", "how many"), min_score=0.0)
    assert (count.answer, count.status) == (str(len(yes)), "ok")
    assert f"asked 4 of 4 segments: {asked}" in count.warnings
    assert {Path(moment.video).name for moment in count.evidence} <= {*yes, "copy.mp4"}
    blank = ask(which, under="val/", min_score=0.0, options=AnswerOptions(num_evidence=0))
    assert (blank.answer, blank.evidence) == (found.answer, [])
    with pytest.raises(UsageError, match="--sheet: shows one video, got a question about many"):
        ask(which, sheet=media)
    part = ask("How many videos show a red circle?", max_segments=2, min_score=0.0)
    assert "asked 2 of 4 segments: Does the video show a red circle?" in part.warnings
    none = ask("How many videos show a submarine?")
    assert (none.status, none.evidence) == ("not_found", [])


# --- out of the library


def test_clips_of_the_evidence(media: Path, tmp_path: Path) -> None:
    run(media)
    answer = ask("Which color moved first?", min_score=0.0)
    files = cut_evidence(answer, tmp_path / "clips")
    assert len(files) == len(answer.evidence) > 0
    for file, moment in zip(files, answer.evidence, strict=True):
        length = moment.end_seconds - moment.start_seconds + 1.0 + min(1.0, moment.start_seconds)
        assert read_info(file).duration_seconds == pytest.approx(length, abs=0.6)
    (tmp_path / "broken.mp4").write_bytes(b"x")
    with pytest.raises(VideoError, match=r"broken.mp4: no clip can be cut at 1.00 s"):
        cut_clip(tmp_path / "broken.mp4", 1.0, 2.0, tmp_path / "out.mp4")
    assert not list(tmp_path.glob("out*"))


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


def test_watching_tells_of_new_videos_only(tmp_path: Path) -> None:
    folder = tmp_path / "watched"
    folder.mkdir()
    told = watch_for_changes(IndexRequest((folder,), LIBRARY))

    next(told)  # what changed before is told once
    timers = [
        threading.Timer(seconds, (folder / name).write_text, ("x",))
        for seconds, name in ((0.2, "a.txt"), (3.0, "a.mp4"))
    ]
    started = time.perf_counter()
    for timer in timers:
        timer.start()
    next(told)
    assert time.perf_counter() - started > 2.5
    told.close()


# --- what a disk does


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_or_read_only_disk_loses_nothing(
    vl: Callable[..., Result], media: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=False)
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        full = vl("index", media, "-L", disk / "lib")
        assert full.code == 5
        assert "is full; free space and run the same command again" in full.stderr
        subprocess.run(["mount", "-o", "remount,size=9m", disk], check=True)
        assert vl("index", media, "-L", disk / "lib").code == 0
        assert "no problems found" in vl("library", "verify", "-L", disk / "lib").stdout
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        assert "val/" in vl("search", "red", "-L", disk / "lib", "-f").stdout
        refused = vl("index", media, "-L", disk / "lib")
        assert refused.code == 5
        assert "lib/.writer.lock: is read-only; name another folder" in refused.stderr
    finally:
        subprocess.run(["umount", disk], check=True)
