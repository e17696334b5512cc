"""`vl probe`: a document and a page."""

import json
from pathlib import Path

from videolatent_cli.pipeline.probe import ProbeRequest, probe_run
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.runtime.machine import Machine


def test_probe_writes_a_document_and_a_page(
    trained: TrainReport, cache_dir: Path, tmp_path: Path
) -> None:
    found = probe_run(ProbeRequest(trained.run_dir, limit=2), Machine(cache_dir))
    assert found.page == trained.run_dir / "probe.html"
    document = json.loads(json.dumps(found.document()))
    assert [one["code"] for one in document["diagnostics"]] == [f"F{n}" for n in range(1, 13)]
    assert document["questions"] == len(found.probe.judged["on"])
    assert probe_run(
        ProbeRequest(trained.run_dir, limit=2, page=tmp_path / "p.html"), Machine(cache_dir)
    ).page
