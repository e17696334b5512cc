"""Tables of the demo."""

import shutil
from pathlib import Path

from benchmarks.measure import table
from videolatent_cli.cli.demo import demo_tables
from videolatent_cli.pipeline.demo import DemoRequest, run_demo
from videolatent_cli.runtime.machine import Machine


def run() -> str:
    """Run the demo from scratch and return the section; the folder `demo` is kept."""
    shutil.rmtree("demo", ignore_errors=True)
    report = run_demo(DemoRequest(Path("demo")), Machine(device="cpu"))
    cost = f"{report.seconds:.0f} s and {report.peak_memory_bytes / 1e9:.2f} GB"
    tables = [table(columns, rows) for _, columns, rows in demo_tables(report)]
    return (
        "## Demo\n\n`recipes/quickstart.yaml` against `recipes/quickstart_sft.yaml`, with the same "
        "backbone, data, steps and seed. Accuracy on held-out videos with 95 % Wilson intervals; "
        "headings give the number of questions in parentheses. One seed: differences below the "
        "intervals mean nothing. `off`, `mean` and `shuffled` replace the latents of a trained "
        "model. `trained longer` is the model of the package: 2,100 steps of "
        "`recipes/eventworld/full.yaml` on 4,000 videos. The whole demo took "
        f"{cost}. `python -m benchmarks demo`\n\n" + "\n\n".join(tables)
    )
