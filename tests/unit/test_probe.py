"""The probe: alarms at their thresholds, and models whose latents are known to be alive or dead."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.factories import make_recipe, small_model
from videolatent_cli.evaluation.diagnostics import FAILURES, diagnose
from videolatent_cli.evaluation.evaluate import accuracy
from videolatent_cli.evaluation.measure_latents import ProbeResult, probe_model, reasoning
from videolatent_cli.model.source import VideoSource
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.pipeline.prepare import recipe_dataset
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.report.page import Card, Cards, Code, Heading, Picture, Table, Text, write_page
from videolatent_cli.report.probe_page import diagnostic_rows, probe_blocks
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
    "video_effect": 0.2,
    "base_accuracy": 0.5,
    "plain_accuracy": 0.6,
}
BAD = {
    "F1": {"effective_rank": 3.9},
    "F2": {"similarity_within": 0.81},
    "F3": {"similarity_rise": 0.31},
    "F4": {"shuffle_drop": 0.009},
    "F5": {"markers_drop": 0.004},
    "F6": {"blind_accuracy": 0.78},
    "F7": {"target_similarity_blind": 0.96},
    "F8": {"target_distance": 0.01},
    "F9": {"scale": 21.0},
    "F10": {"path_difference": 1e-2},
    "F11": {"video_effect": 1e-4},
    "F12": {"plain_accuracy": 0.48},
}


def test_every_failure_has_an_alarm_at_its_threshold() -> None:
    assert [one.raised for one in diagnose(GOOD)] == [False] * 12
    assert list(BAD) == [failure.code for failure in FAILURES]
    for code, change in BAD.items():
        raised = [one.failure.code for one in diagnose(GOOD | change) if one.raised]
        assert raised == [code]
    assert diagnose(GOOD | {"similarity_between": 0.91})[0].raised
    assert not diagnose(GOOD | {"teacher_gain": -2.0})[7].raised
    assert diagnose(GOOD | {"scale": 0.004})[8].raised
    assert not diagnose(GOOD | {"scale": 0.02})[8].raised


def test_what_was_not_measured_raises_nothing() -> None:
    found = diagnose({"accuracy": 0.5, "scale": float("nan")})
    assert [one.raised for one in found] == [None] * 12
    states = {row[4] for row in diagnostic_rows(found)}
    assert states == {"not measured"}
    (bad,) = [row for row in diagnostic_rows(diagnose(GOOD | BAD["F4"])) if row[4] == "alarm"]
    assert bad[5] == "Raise loss.bottleneck_weight, or ask harder questions."


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


def test_pages_escape_what_they_show(tmp_path: Path) -> None:
    blocks = [
        Heading("<b>"),
        Text("a & b", note=True),
        Code("x: <y>"),
        Table(("<i>",), [["alarm"], ["<script>"]]),
        Picture(b"\x89PNG", 'say "hi"'),
    ]
    write_page(tmp_path / "new" / "p.html", "T<", blocks)
    html = (tmp_path / "new" / "p.html").read_text()
    for raw in ("<b>", "<script>", "<i>", "<y>"):
        assert raw not in html
    assert "a &amp; b" in html
    assert '<td class="alarm">alarm</td>' in html
    assert 'src="data:image/png;base64,iVBORw=="' in html
    assert "http" not in html


def test_cards_are_escaped_too_and_bring_the_one_script_of_the_page(tmp_path: Path) -> None:
    cards = Cards([Card("<b>", ["<script>alert(1)</script>"], Picture(b"\x89PNG", "<i>"), '"><u>')])
    write_page(tmp_path / "p.html", "T", [cards, cards])
    html = (tmp_path / "p.html").read_text()
    assert html.count("<script>") == 1
    for raw in ("<b>", "alert(1)<", "<i>", "<u>"):
        assert raw not in html
