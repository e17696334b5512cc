"""The log: on stderr by level, in files as a whole."""

from pathlib import Path

import pytest
from loguru import logger

from videolatent_cli.runtime.logs import configure_logging, log_file


def talk() -> None:
    """Say something at each level."""
    logger.debug("a detail")
    logger.info("a fact")
    logger.warning("a doubt")


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [(-1, ["doubt"]), (0, ["fact", "doubt"]), (1, ["detail", "fact", "doubt"])],
)
def test_verbosity_is_the_level_on_stderr(
    verbosity: int, shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(verbosity)
    talk()
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[-1] for line in err.splitlines()] == shown
    assert "\x1b" not in err


def test_a_file_gets_every_line_with_its_time(tmp_path: Path) -> None:
    configure_logging(-1, tmp_path / "new" / "vl.log")
    talk()
    lines = (tmp_path / "new" / "vl.log").read_text().splitlines()
    assert [line.split()[-1] for line in lines] == ["detail", "fact", "doubt"]
    assert all(line.startswith("20") and "test_logs:" in line for line in lines)


def test_the_log_of_a_run_ends_with_it(tmp_path: Path) -> None:
    with log_file(tmp_path / "run" / "train.log"):
        talk()
    logger.info("afterwards")
    assert "afterwards" not in (tmp_path / "run" / "train.log").read_text()
    assert "a detail" in (tmp_path / "run" / "train.log").read_text()
