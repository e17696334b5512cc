"""Subtitles and speech: read at their times, found, and written down once."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.factories import make_video
from tests.libraries import LIBRARY, SUBTITLES, all_segments, names, run
from tests.whisper import write_whisper
from videolatent_cli.errors import IncompatibleError, SetupError, VideoError
from videolatent_cli.pipeline.library import transcripts as speech
from videolatent_cli.pipeline.library.maintenance import library_problems, show_file
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.pipeline.library.transcripts import (
    SAMPLES_PER_SECOND,
    Caption,
    read_sound,
    read_subtitles,
    transcript_between,
)
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.info import read_info


def with_stream(video: Path, subtitles: Path, out: Path, codec: str) -> Path:
    """Put subtitles into a copy of a video."""
    command = [ffmpeg_binary(), "-y", "-loglevel", "error", "-i", video, "-i", subtitles]
    subprocess.run([*command, "-c:v", "copy", "-c:s", codec, out], check=True)
    return out


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


def with_sound(path: Path, source: str, delay_seconds: float = 0.0) -> Path:
    """Return a video of two seconds with a sound that starts later."""
    silent = path.with_name("silent.mp4")
    make_video(silent, num_frames=50)
    command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", "-i", str(silent)]
    command += ["-itsoffset", str(delay_seconds), "-f", "lavfi", "-i", source]
    subprocess.run([*command, "-c:v", "copy", "-c:a", "aac", str(path)], check=True)
    silent.unlink()
    return path


def test_sound_is_where_it_is_heard(tmp_path: Path) -> None:
    tone = with_sound(tmp_path / "a.mkv", "sine=frequency=440:duration=1", 0.5)
    sound = read_sound(tone, read_info(tone).start_seconds)
    assert sound is not None
    assert sound.start_seconds == pytest.approx(0.5, abs=0.05)
    assert len(sound.samples) == pytest.approx(SAMPLES_PER_SECOND, rel=0.1)
    middle = sound.samples[4000:12000]
    heard = np.argmax(np.abs(np.fft.rfft(middle))) * SAMPLES_PER_SECOND / len(middle)
    assert heard == pytest.approx(440, abs=3)
    make_video(tmp_path / "b.mp4")
    assert read_sound(tmp_path / "b.mp4", 0.0) is None


def test_what_is_said_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_whisper(tmp_path)
    monkeypatch.setitem(
        speech.TRANSCRIBE_OPTIONS, "vad_filter", False
    )  # it hears nonsense in noise
    media = tmp_path / "media"
    media.mkdir()
    noise = "anoisesrc=duration=2:seed={}:amplitude=0.5"
    loud = with_sound(media / "loud.mp4", noise.format(1))
    with_sound(media / "written.mp4", noise.format(2))
    (media / "written.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    make_video(media / "silent.mp4", num_frames=40)
    assert run(media, speech=model).new == 3
    said = {one.text.split("\n")[-1]: one.transcript for one in all_segments()}
    sound = read_sound(loud, read_info(loud).start_seconds)
    assert sound is not None
    expected = transcript_between(speech.Transcriber(model).transcribe(sound), 0.0, 2.0)
    assert len(expected) > 0
    assert said == {"loud.mp4": expected, "written.mp4": "hello", "silent.mp4": ""}
    assert names(expected, mode="text")[0] == "loud.mp4"
    monkeypatch.setattr(speech.Transcriber, "transcribe", None)
    loud.rename(media / "renamed.mp4")
    (tmp_path / "notes.csv").write_text("video,place\nmedia/renamed.mp4,Rotterdam\n")
    run(media, metadata=tmp_path / "notes.csv")  # the library knows its model
    (again,) = [one for one in all_segments() if "renamed" in one.text]
    assert again.transcript == expected
    assert "Rotterdam" in again.text
    with pytest.raises(IncompatibleError, match=r"was made with speech /.*whisper, got"):
        run(media, speech=tmp_path)


def test_what_is_missing_is_said(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match=r"--speech: .* \(model.bin is missing\)"):
        run(media, speech=media)
    assert not (LIBRARY / "library.json").exists()
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(SetupError, match="--speech: faster-whisper is missing"):
        run(media, speech=media)
