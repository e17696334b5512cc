"""Records in JSON Lines: all problems at once."""

from pathlib import Path

import pytest

from videolatent_cli.data.triplets import read_triplets
from videolatent_cli.errors import DataError


def test_all_problems_of_a_triplet_file_at_once(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("{\n" * 30)
    with pytest.raises(DataError) as caught:
        read_triplets(tmp_path / "t.jsonl")
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more problems"
    (tmp_path / "t.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"t.jsonl: contains no triplet"):
        read_triplets(tmp_path / "t.jsonl")
    with pytest.raises(DataError, match=r"no.jsonl: file not found; check data.path"):
        read_triplets(tmp_path / "no.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"b.jsonl: cannot be read as UTF-8"):
        read_triplets(tmp_path / "b.jsonl")
