"""`vl data check`: bad videos are listed with their reasons."""

import json
from pathlib import Path

from tests.factories import make_video, write_jsonl
from videolatent_cli.pipeline.check_data import CheckRequest, check_data
from videolatent_cli.runtime.machine import Machine


def test_check_lists_bad_videos(tmp_path: Path) -> None:
    make_video(tmp_path / "good.mp4", 8, 4)
    (tmp_path / "bad.mp4").write_bytes(b"junk" * 20)
    rows = [
        {"video": v, "question": "q", "answer": "a"} for v in ("good.mp4", "bad.mp4", "gone.mp4")
    ]
    data = write_jsonl(tmp_path / "t.jsonl", rows)
    report = check_data(CheckRequest(data, tmp_path / "q.jsonl", deep=True), Machine(tmp_path))
    assert report.videos == 3
    listed = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert [Path(row["file"]).name for row in listed] == ["bad.mp4", "gone.mp4"]
    assert "cannot be opened as video" in listed[0]["reason"]
    recipe = tmp_path / "r.yaml"
    recipe.write_text("version: 1\ndata: {type: triplets, path: t.jsonl}\n")
    assert len(check_data(CheckRequest(recipe, tmp_path / "q.jsonl"), Machine(tmp_path)).bad) == 2
