"""`vl report`: one small page."""

from pathlib import Path

import pytest

from videolatent_cli.errors import SetupError
from videolatent_cli.pipeline.report import ReportRequest, report_run
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


def test_report_is_one_small_page(trained: TrainReport, cache_dir: Path, tmp_path: Path) -> None:
    page = tmp_path / "r.html"
    request = ReportRequest(trained.run_dir, page, limit=2, samples=2)
    assert report_run(request, Machine(cache_dir)) == page
    html = page.read_text(encoding="utf-8")
    assert len(html) < 5_000_000
    assert html.count("<img") == 3
    assert '="http' not in html
    for part in (
        "Training",
        "Dependence of the answers on the latents",
        "Sample questions",
        "data_fingerprint",
    ):
        assert part in html
    with pytest.raises(SetupError, match="is not a run folder"):
        report_run(ReportRequest(tmp_path / "none", page), Machine(cache_dir))
