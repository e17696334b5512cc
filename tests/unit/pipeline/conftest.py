"""Fixtures of the tests of the pipeline."""

from pathlib import Path

import pytest

from tests.factories import write_jsonl
from videolatent_cli.data.triplets import read_triplets


@pytest.fixture
def questions(world: Path, tmp_path: Path) -> Path:
    """Questions about three videos, four each, in mixed order."""
    triplets = read_triplets(world / "val.jsonl")
    by_video = [[t for t in triplets if t.video.endswith(f"{n}.mp4")][:4] for n in range(3)]
    mixed = [t for group in zip(*by_video, strict=True) for t in group]
    rows = [{"id": t.id, "question": t.question, "video": t.video} for t in mixed]
    return write_jsonl(tmp_path / "q.jsonl", rows)
