"""What commands print."""

import json
from collections.abc import Iterator

import pytest

from videolatent_cli.cli import output
from videolatent_cli.cli.output import print_json, print_table, progress_bars


def test_json_keeps_letters_of_all_languages(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"file": "ü.mp4", "n": 1})
    text = capsys.readouterr().out
    assert "ü.mp4" in text
    assert json.loads(text) == {"file": "ü.mp4", "n": 1}


def test_tables_put_numbers_to_the_right_and_words_to_the_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table("t", ["name", "value"], [["a", "1"], ["b", "1000"]])
    numbers = capsys.readouterr().out.splitlines()
    assert numbers[0].strip() == "t"
    assert [line.rstrip() for line in numbers if line.strip().startswith(("a", "b"))] == [
        " a         1",
        " b      1000",
    ]
    print_table("t", ["name", "value"], [["a", "x"], ["b", "xyz"]], words=True)
    words = capsys.readouterr().out.splitlines()
    assert [line.rstrip() for line in words if line.strip().startswith(("a", "b"))] == [
        " a     x",
        " b     xyz",
    ]


def test_without_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times: Iterator[float] = iter([0.0, 10.0, 31.0, 40.0, 62.0, 63.0, 70.0])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(times))
    with progress_bars() as show:
        for done in (1, 2, 3, 4, 5):
            show("train", done, 9)
        show("train", 1, 9)  # it starts again
        show("train", 2, 9)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["train: 3/9", "train: 5/9"]
