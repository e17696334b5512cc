"""The demo's own table."""

import shutil
from pathlib import Path

from benchmarks.measure import table
from videolatent_cli.cli.demo import demo_tables
from videolatent_cli.pipeline.demo import DemoRequest, run_demo
from videolatent_cli.runtime.machine import Machine


def run() -> str:
    """Run the demo from the start and return the section; the folder `demo` stays to look at."""
    shutil.rmtree("demo", ignore_errors=True)
    report = run_demo(DemoRequest(Path("demo")), Machine(device="cpu"))
    cost = f"{report.seconds:.0f} s and {report.peak_memory_bytes / 1e9:.2f} GB"
    tables = [table(columns, rows) for _, columns, rows in demo_tables(report)]
    return (
        "## Demo\n\n`recipes/quickstart.yaml` against `recipes/quickstart_sft.yaml`: same "
        "backbone, data, steps and seed; accuracy on held-out videos with 95 % Wilson intervals, "
        "numbers of questions in brackets. One seed: differences below the intervals mean nothing. "
        "`off`, `mean` and `shuffled` replace the latents of a trained model. `trained longer` is "
        "the model that comes with the package: 2,100 steps of `recipes/eventworld/full.yaml` on "
        f"4,000 videos. All of it took {cost}. `python -m benchmarks demo`\n\n"
        + "\n\n".join(tables)
    )
