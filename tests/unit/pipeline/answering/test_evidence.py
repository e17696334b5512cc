"""Clips of the evidence of an answer."""

from pathlib import Path

import pytest

from tests.libraries import ask
from videolatent_cli.errors import VideoError
from videolatent_cli.pipeline.answering.evidence import cut_evidence
from videolatent_cli.video.cut import cut_clip
from videolatent_cli.video.info import read_info


def test_clips_of_the_evidence(indexed: Path, tmp_path: Path) -> None:
    answer = ask("Which color moved first?", min_score=0.0)
    files = cut_evidence(answer, tmp_path / "clips")
    assert len(files) == len(answer.evidence) > 0
    for file, moment in zip(files, answer.evidence, strict=True):
        length = moment.end_seconds - moment.start_seconds + 1.0 + min(1.0, moment.start_seconds)
        assert read_info(file).duration_seconds == pytest.approx(length, abs=0.6)
    (tmp_path / "broken.mp4").write_bytes(b"x")
    with pytest.raises(VideoError, match=r"broken.mp4: cannot be opened as video"):
        cut_clip(tmp_path / "broken.mp4", 1.0, 2.0, tmp_path / "out.mp4")
    assert not list(tmp_path.glob("out*"))
