"""F10 tells a fault from the rounding of bfloat16."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import factories, families
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.evaluation import measure_latents
from videolatent_cli.evaluation.diagnostics import FAILURES, Diagnostic
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Latent

(F10,) = [failure for failure in FAILURES if failure.code == "F10"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of eight layers, with logits of a usual size."""
    deep = families.TEXT | {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "initializer_range": 0.1,
    }
    rope = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(families, "DIM", 256)
        patch.setattr(families, "TEXT", deep)
        patch.setattr(families, "MROPE", rope)
        return families.write_family(tmp_path_factory.mktemp("deep"), "qwen2_5_vl")


def diagnosed(folder: Path, dtype: str) -> Diagnostic:
    backbone = load_backbone(BackboneRecipe(model=str(folder), train="full", dtype=dtype)).eval()
    torch.manual_seed(0)
    model = VideoLatent(backbone, Latent(num_blocks=2, latents_per_block=2, relook_heads=2)).eval()
    batch = factories.make_batch(model)
    triplet = Triplet(video="v", question="?", answer="a")
    statistics = measure_latents._LatentStatistics(model, [0.5])
    statistics.add(batch, [triplet] * len(batch.answer.ids))
    measured = statistics.measured()
    return Diagnostic(F10, {name: measured[name] for name in F10.measurements})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_sound_paths_raise_no_alarm(dtype: str, folder: Path) -> None:
    found = diagnosed(folder, dtype)
    assert found.raised is False
    assert (found.measured["path_difference"] > 1e-3) == (dtype == "bfloat16")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("fault", ["answers one position late", "no latents"])
def test_faults_raise_it(
    dtype: str, fault: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepwise = measure_latents._stepwise

    def wrong(model: VideoLatent, rollout: Any, answers: torch.Tensor) -> torch.Tensor:
        late = replace(rollout.state, next_position=rollout.state.next_position + 1)
        state = rollout.question_state if fault == "no latents" else late
        return stepwise(model, replace(rollout, state=state), answers)

    monkeypatch.setattr(measure_latents, "_stepwise", wrong)
    assert diagnosed(folder, dtype).raised
