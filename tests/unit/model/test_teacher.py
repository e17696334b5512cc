"""The hindsight teacher."""

from pathlib import Path

import torch

from tests.factories import LATENT, make_batch, small_backbone
from videolatent_cli.model.batch import Batch, Padded
from videolatent_cli.model.teacher import TeacherWeights
from videolatent_cli.model.videolatent import VideoLatent


def test_teacher_has_no_gradient_and_differs_from_the_student(model: VideoLatent) -> None:
    batch = make_batch(model)
    layers = model.layers_at([0.5, 1.0])
    assert layers == (1, 2)
    teacher = TeacherWeights(model.backbone, "current", 0.9)
    out = model(batch, teacher, layers)
    assert out.rollout is not None
    for student, states in zip(out.rollout.by_layer, out.teacher_by_layer, strict=True):
        assert states.shape == student.shape == (4, LATENT.num_latents + 1, 32)
        assert not states.requires_grad
        assert student.requires_grad
        assert not torch.allclose(states, student, atol=1e-3)


def test_teacher_without_a_hint_would_be_the_student(model: VideoLatent) -> None:
    batch = make_batch(model)
    empty = Padded(batch.teacher_hint.ids, torch.zeros_like(batch.teacher_hint.mask))
    silent = Batch(**{**batch.__dict__, "teacher_hint": empty})
    for kind in ("current", "base"):
        teacher = TeacherWeights(model.backbone, kind, 0.9)
        out = model(silent, teacher, (1, 2))
        assert out.rollout is not None
        for student, states in zip(out.rollout.by_layer, out.teacher_by_layer, strict=True):
            assert torch.allclose(student, states, atol=1e-4)


def test_teacher_weights_base_stays_ema_follows_and_the_model_is_given_back(
    small_folder: Path,
) -> None:
    backbone = small_backbone(small_folder)
    name, parameter = next((n, p) for n, p in backbone.named_parameters() if p.requires_grad)
    start = parameter.detach().clone()
    base = TeacherWeights(backbone, "base", 0.9)
    ema = TeacherWeights(backbone, "ema", 0.9)
    with torch.no_grad():
        parameter.add_(1.0)
    for teacher in (base, ema):
        teacher.update()
    assert torch.equal(base.weights[name], start)
    assert torch.allclose(ema.weights[name], start + 0.1)
    with base.applied():
        assert torch.equal(parameter, start)
    assert torch.allclose(parameter, start + 1.0)
