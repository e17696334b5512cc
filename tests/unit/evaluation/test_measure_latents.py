"""Models whose latents are known to be alive or dead."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.factories import make_recipe, small_model
from videolatent_cli.evaluation.evaluate import accuracy
from videolatent_cli.evaluation.measure_latents import ProbeResult, probe_model, reasoning
from videolatent_cli.model.source import VideoSource
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.report.page import Heading, Picture, Table
from videolatent_cli.report.probe_page import probe_blocks
from videolatent_cli.training.groups import Group, make_groups
from videolatent_cli.video.sampling import SamplingSpec

GOOD = {
    "similarity_between": 0.5,
    "effective_rank": 20.0,
    "similarity_within": 0.1,
    "similarity_rise": 0.1,
    "shuffle_drop": 0.2,
    "markers_drop": 0.1,
    "accuracy": 0.8,
    "blind_accuracy": 0.3,
    "target_similarity_blind": 0.5,
    "target_distance": 0.3,
    "teacher_gain": 1.0,
    "scale": 1.0,
    "path_difference": 1e-6,
    "path_rounding": 1e-5,
    "video_effect": 0.2,
    "base_accuracy": 0.5,
    "plain_accuracy": 0.6,
}


def probed(model: VideoLatent, folder: Path, cache_dir: Path) -> tuple[ProbeResult, list[Group]]:
    recipe = make_recipe(folder)
    dataset = recipe_dataset(recipe, cache_dir, cache_dir)
    groups = make_groups(dataset, "test_iid", 8)
    geometry = model.backbone.geometry
    spec = SamplingSpec.of(recipe.video, geometry.size_multiple_px, geometry.frames_per_group)
    source = VideoSource(model.backbone, spec, tier="none")
    blind = VideoSource(model.backbone, spec, tier="none", visible="none")
    depths, base = recipe.loss.alignment_depths, small_model(folder, None)
    return probe_model(model, source, blind, groups, depths, base), groups


def test_living_latents_are_measured(small_folder: Path, cache_dir: Path) -> None:
    model = small_model(small_folder, Latent(num_blocks=2, latents_per_block=2, relook_heads=2))
    found, groups = probed(model, small_folder, cache_dir)
    assert set(found.measured) >= set(GOOD)
    total = sum(len(group.triplets) for group in groups)
    assert all(len(judged) == total for judged in found.judged.values())
    measured = found.measured
    assert measured["path_difference"] < 1e-4
    assert measured["video_effect"] > 1e-3
    assert measured["scale"] == pytest.approx(1.0, abs=0.05)
    assert measured["accuracy"] == accuracy(found.judged["on"]).value
    assert sum(one.answer_kl for one in found.judged["shuffle"]) > 1e-7
    assert len(found.words) == 4
    assert all(len(row) == 5 for row in found.words)
    for view in found.views:
        assert [sum(row) for row in view.attention] == pytest.approx([1.0] * 4)
    sheets = [Image.new("RGB", (8, 8))] * len(found.views)
    kinds = {type(block) for block in probe_blocks(found, sheets)}
    assert kinds >= {Heading, Table, Picture}


def test_dead_latents_are_found_out(small_folder: Path, cache_dir: Path) -> None:
    model = small_model(small_folder, Latent(num_blocks=2, latents_per_block=2, relook_heads=2))
    assert model.injection is not None
    with torch.no_grad():
        model.injection.scale.zero_()
    found, _ = probed(model, small_folder, cache_dir)
    assert sum(one.answer_kl for one in found.judged["shuffle"]) == 0
    state = {one.failure.code: one.raised for one in found.diagnostics}
    assert state["F4"]
    assert state["F9"]


def test_a_model_without_latents_is_measured_too(small_folder: Path, cache_dir: Path) -> None:
    found, _ = probed(small_model(small_folder, None), small_folder, cache_dir)
    assert list(found.judged) == ["on"]
    measured = {one.failure.code for one in found.diagnostics if one.raised is not None}
    assert measured == {"F6", "F12"}
    assert found.measured["base_accuracy"] == found.measured["plain_accuracy"]


def test_reasoning_questions_are_the_deep_ones(small_folder: Path, cache_dir: Path) -> None:
    found, _ = probed(small_model(small_folder, None), small_folder, cache_dir)
    judged = found.judged["on"]
    deep = reasoning(judged)
    assert all(judged[i].triplet.meta["hops"] >= 3 for i in deep)
    shallow = [one for one in judged if one.triplet.meta["hops"] < 3]
    assert reasoning(shallow) == list(range(len(shallow)))
