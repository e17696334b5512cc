"""What an embedded backbone knows, on rendered videos of `test_iid` that it has never seen.

`python -m benchmarks embedded` measures the one in the package and writes docs/results.md;
`python -m benchmarks.embedded FOLDER` prints the same of another one, as `vl export` writes it.
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
    found = accuracy_by_category(judged)
    families = sorted((f for f in found if f in HOPS), key=lambda f: (HOPS[f], f))
    rows = []
    for family in families:
        value = found[family]
        low, high = value.interval()
        kind = "description" if family in DESCRIPTIONS else str(HOPS[family])
        rows.append([family, kind, f"{value.value:.3f}", f"{low:.3f}-{high:.3f}", str(value.total)])
    one_hop = [f for f in families if HOPS[f] == 1]
    right, total = sum(found[f].right for f in one_hop), sum(found[f].total for f in one_hop)
    return (
        "## Embedded backbone\n\nExact greedy answers, 300 videos of `test_iid`, after pretraining "
        "only; families of 3 hops and more were never trained. All 1-hop families together: "
        f"**{right / total:.3f}** (goal 0.95). `python -m benchmarks embedded`\n\n"
        + table(["family", "hops", "accuracy", "95 % interval", "questions"], rows)
    )


if __name__ == "__main__":
    print(run(*sys.argv[1:]))
