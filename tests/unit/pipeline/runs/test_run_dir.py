"""Run folders: where a run comes from, how far it is, one writer."""

from pathlib import Path

import pytest

from videolatent_cli.errors import ResourceError, SetupError
from videolatent_cli.pipeline.runs.run_dir import RunDir, newest_run, run_details, run_summaries
from videolatent_cli.pipeline.train import TrainReport


def test_run_folder_tells_where_it_comes_from(trained: TrainReport) -> None:
    details = run_details(trained.run_dir)
    assert details["summary"]["step"] == details["summary"]["total_steps"] == 4
    assert (trained.run_dir / "recipe.yaml").read_text() == "source: text\n"
    assert details["provenance"]["packages"]["torch"]
    assert details["provenance"]["seed"] == 0
    assert details["last_step"]["step"] == 4
    assert "finished" not in (trained.run_dir / "train.log").read_text()
    assert [r["run"] for r in run_summaries(trained.run_dir.parent)] == [str(trained.run_dir)]
    assert newest_run(trained.run_dir.parent) == trained.run_dir
    assert trained.document()["schema"] == "vl.train/1"
    with pytest.raises(SetupError, match="is not a run folder; 'vl runs ls'"):
        run_details(trained.run_dir.parent)


def test_two_trainings_of_one_run_do_not_mix(tmp_path: Path) -> None:
    with (
        RunDir(tmp_path).lock(),
        pytest.raises(ResourceError, match="another process trains this run; wait for it"),
        RunDir(tmp_path).lock(),
    ):
        pass
