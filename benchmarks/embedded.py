"""Accuracy of an embedded backbone on rendered videos of `test_iid`, which it has never seen.

`python -m benchmarks embedded` measures the backbone of the package and writes its section of
docs/results/latents.md. `python -m benchmarks.embedded FOLDER` prints the same section for a
folder that `vl export` wrote.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import table
from videolatent_cli.data.eventworld import DESCRIPTIONS, HOPS
from videolatent_cli.evaluation.evaluate import accuracy_by_category, evaluate
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.prepare import prepare
from videolatent_cli.recipe import parse_recipe
from videolatent_cli.training.groups import make_groups

RECIPE = """
version: 1
data:
  type: eventworld
  num_videos: 1
  num_eval_videos: 300
  questions_per_video: 14
  families: [describe_start, describe_events, 1-2 hops, 3+ hops]
video: {fps: 4, min_frames: 2, max_frames: 32, min_pixels: 4096, max_pixels: 4096}
backbone: {model: tiny, train: frozen}
latent: null
"""


def run(backbone: str = "tiny") -> str:
    """Measure a backbone and return the section."""
    recipe = parse_recipe(RECIPE, "embedded", [f"backbone.model={backbone}"])
    model = build_model(recipe).eval()
    with tempfile.TemporaryDirectory() as folder:
        prepared, _ = prepare(recipe, model, Path(folder), Path(folder))
        groups = make_groups(prepared.dataset, "test_iid", 14)
        judged = evaluate(model, prepared.source, groups)["on"]
    accuracies = accuracy_by_category(judged)
    families = sorted((f for f in accuracies if f in HOPS), key=lambda f: (HOPS[f], f))
    rows = []
    for family in families:
        accuracy = accuracies[family]
        low, high = accuracy.interval()
        kind = "description" if family in DESCRIPTIONS else str(HOPS[family])
        interval = f"{low:.3f}-{high:.3f}"
        rows.append([family, kind, f"{accuracy.value:.3f}", interval, str(accuracy.total)])
    one_hop = [accuracies[family] for family in families if HOPS[family] == 1]
    right, total = sum(a.right for a in one_hop), sum(a.total for a in one_hop)
    return (
        "## Embedded backbone\n\nExact greedy answers on 300 videos of `test_iid`, after "
        "pretraining only. Families of 3 hops and more were never trained. All 1-hop families "
        f"together: **{right / total:.3f}** (goal 0.95). `python -m benchmarks embedded`\n\n"
        + table(["family", "hops", "accuracy", "95 % interval", "questions"], rows)
    )


if __name__ == "__main__":
    print(run(*sys.argv[1:]))
