"""The embedded models: what is bundled answers as documented."""

from pathlib import Path

import pytest

from benchmarks.before_latents import first_token_loss
from videolatent_cli.evaluation.evaluate import accuracy, evaluate
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.prepare import prepare
from videolatent_cli.pipeline.runs.trained_model import EMBEDDED, find_model
from videolatent_cli.recipe import parse_recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.training.groups import make_groups

RECIPE = """
version: 1
data:
  type: eventworld
  num_videos: 1
  num_eval_videos: 24
  questions_per_video: 6
  families: [count_start, count_end, first_mover, last_mover, appeared]
video: {fps: 4, min_frames: 2, max_frames: 32, min_pixels: 4096, max_pixels: 4096}
backbone: {model: tiny, train: frozen}
latent: null
"""


def test_the_embedded_backbone_sees(cache_dir: Path) -> None:
    recipe = parse_recipe(RECIPE, "embedded")
    model = build_model(recipe).eval()
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(1.7e6, rel=0.05)
    prepared, _ = prepare(recipe, model, Path(), cache_dir)
    groups = make_groups(prepared.dataset, "test_iid", 6)
    judged = evaluate(model, prepared.source, groups)["on"]
    # answers by chance are right in about a quarter
    assert accuracy(judged).value > 0.8


def test_untrained_latents_leave_the_answer_as_it_was(cache_dir: Path) -> None:
    plain, shared, own = (
        first_token_loss(cache_dir, overrides)
        for overrides in (["latent=null"], ["latent.positions=shared"], ["latent.positions=own"])
    )
    assert shared == pytest.approx(plain, abs=0.1)
    assert own > plain + 1


def test_without_a_run_the_embedded_model_answers_and_warns(cache_dir: Path) -> None:
    checkpoint, name = find_model(None)
    assert (checkpoint.folder, name) == (EMBEDDED, "embedded")
    video = cache_dir / "eventworld-v1/test_iid/000000.mp4"
    answer = ask(
        AskRequest(video, "How many objects are there at the start?"), Machine(Path("none"))
    ).answer
    assert answer.model.run == "embedded"
    assert answer.answer in ("2", "3", "4")
    assert answer.evidence
    assert any("has only ever seen EventWorld" in warning for warning in answer.warnings)
