"""The demo's own table."""

import shutil
from pathlib import Path

from benchmarks.measure import table
from videolatent_cli.cli.evaluate import cell
from videolatent_cli.pipeline.demo import run_demo


def run() -> str:
    """Run the demo from the start and return the section; the folder `demo` stays to look at."""
    shutil.rmtree("demo", ignore_errors=True)
    report = run_demo(Path("demo"), "cpu")
    rows = [[name, *(cell(value) for value in values)] for name, values in report.rows]
    cost = f"{report.seconds:.0f} s and {report.peak_memory_bytes / 1e9:.2f} GB"
    return (
        "## Demo\n\n`recipes/quickstart.yaml` against `recipes/quickstart_sft.yaml`: same "
        "backbone, data, steps and seed; accuracy on held-out videos with 95 % Wilson intervals. "
        "One seed: differences below the intervals mean nothing. The last three columns replace "
        f"the latents of the trained model. All of it took {cost}. `python -m benchmarks demo`\n\n"
        + table(["questions", *report.columns], rows)
    )
