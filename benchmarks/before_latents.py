"""Effect of untrained tokens between prompt and answer on the embedded backbone."""

import tempfile
from pathlib import Path

import torch

from benchmarks.measure import table
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.load import build_model
from videolatent_cli.objectives import answer_loss
from videolatent_cli.pipeline.prepare import prepare
from videolatent_cli.recipe import load_recipe
from videolatent_cli.recipe.shipped import shipped_recipe
from videolatent_cli.training.groups import collate_groups, make_groups

_DATA = ["data.families=['1-2 hops']", "data.num_videos=1", "data.num_eval_videos=16"]
_NO_BLOCKS = ["latent.num_blocks=0", "loss.bottleneck_weight=0", "loss.diversity_weight=0"]
VARIANTS = {
    "the two markers": [*_NO_BLOCKS, "latent.latents_per_block=0"],
    "markers and four slots": [*_NO_BLOCKS, "latent.latents_per_block=4"],
    "markers, slots, two blocks of four latents": [],
}


@torch.no_grad()
def first_token_loss(folder: Path, overrides: list[str]) -> float:
    """Return the mean loss of the first answer token (nats) on 16 videos of `test_iid`."""
    recipe = load_recipe(shipped_recipe("quickstart"), [*_DATA, *overrides])
    model = build_model(recipe).eval()
    prepared, _ = prepare(recipe, model, folder, folder)
    groups = make_groups(prepared.dataset, "test_iid", 8)
    batch = collate_groups(groups, prepared.source, Prompter(model.backbone))
    logits = model(batch).answer_logits[:, :1]
    return float(answer_loss(logits, batch.answer.ids[:, :1], batch.answer.mask[:, :1]))


def run() -> str:
    """Measure and return the section."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        nothing = f"{first_token_loss(folder, ['latent=null']):.2f}"
        rows = [["nothing", nothing, nothing]]
        for name, overrides in VARIANTS.items():
            losses = [
                first_token_loss(folder, [*overrides, f"latent.positions={positions}"])
                for positions in ("shared", "own")
            ]
            rows.append([name, *(f"{loss:.2f}" for loss in losses)])
    return (
        "## Before latents\n\nLoss of the first answer token (nats) on questions of 1-2 hops, for "
        "both values of `latent.positions`, with the embedded backbone before any further "
        "training. `python -m benchmarks before_latents`\n\n"
        + table(["between prompt and answer", "shared", "own"], rows)
    )
