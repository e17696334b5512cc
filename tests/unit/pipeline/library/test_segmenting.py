"""Videos cut into segments of a fixed length or into scenes."""

import subprocess
from pathlib import Path

import pytest

from tests.factories import make_video
from tests.libraries import LIBRARY, run
from videolatent_cli.errors import IncompatibleError
from videolatent_cli.pipeline.library.maintenance import show_file
from videolatent_cli.pipeline.library.segmenting import parse_segments, scenes_between
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.info import read_info


def test_long_videos_have_segments_with_evidence_inside(media: Path) -> None:
    make_video(media / "long.mp4", num_frames=260)
    report = run(media / "long.mp4")
    assert report.segments == 3
    shown = show_file(LIBRARY, media / "long.mp4")
    spans = [(one["start_seconds"], one["end_seconds"]) for one in shown["segments"]]
    assert spans == [(0.0, 10.0), (10.0, 20.0), (20.0, 26.0)]


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
