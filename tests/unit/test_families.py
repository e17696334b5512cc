"""Every family against transformers' own forward and prompts, and through our own identities."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cosine_similarity, normalize, pad
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor

from tests.factories import make_recipe, make_video, one_row, write_jsonl
from tests.families import FAMILIES, write_family
from videolatent_cli.errors import SetupError
from videolatent_cli.model.backbones import load as load_module
from videolatent_cli.model.backbones import recompute
from videolatent_cli.model.backbones.attention import _obstacle
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.features import only_visible
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.backbones.pixels import normalised, patchify
from videolatent_cli.model.batch import Batch, Example, Prompter
from videolatent_cli.model.cached import features_to_row, row_to_features
from videolatent_cli.model.generate import generate
from videolatent_cli.model.source import features_fingerprint
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss
from videolatent_cli.pipeline.ask import AskRequest, ask
from videolatent_cli.pipeline.export import ExportRequest, export_run
from videolatent_cli.pipeline.library.embedders.backbone import (
    TEXT_PROMPT,
    VIDEO_PROMPT,
    Summarizer,
)
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.recipe import load_recipe
from videolatent_cli.recipe.data_schema import Visible
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.recipe.shipped import shipped_recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.resize import Resizing

LATENT = Latent(num_blocks=2, latents_per_block=2, relook_heads=2)
FPS = 2.0
QUESTIONS = [("What moved first?", "a cup"), ("Where did it go, and when?", "left")]


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_family(tmp_path_factory.mktemp(request.param), request.param)


def load(folder: Path, train: str = "full") -> Backbone:
    recipe = BackboneRecipe(model=str(folder), train=train)
    backbone = load_backbone(recipe)
    torch.manual_seed(0)
    backbone.make_trainable(recipe)
    return backbone.eval()


def frames_for(backbone: Backbone, seed: int = 0, count: int = 5) -> FrameBatch:
    """Random frames of a size that the family takes."""
    width, height = backbone.geometry.frame_size_px or (48, 32)
    shape = (count, height, width, 3)
    data = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return FrameBatch(data, np.arange(count) / FPS + 61)


def make_batch(backbone: Backbone) -> Batch:
    """Two questions about each of two videos of different length."""
    with torch.no_grad():
        features = backbone.encode_videos(
            [frames_for(backbone), frames_for(backbone, seed=1, count=2)]
        )
    examples = [[Example(*pair) for pair in QUESTIONS]] * 2
    return Prompter(backbone).collate(features, examples)


def pixel_inputs(backbone: Backbone, frames: FrameBatch, ids: torch.Tensor) -> dict[str, Any]:
    """What transformers' own forward takes besides token ids."""
    family = backbone.config.model_type
    if family.startswith("qwen"):
        layout = backbone.layout_of(frames)
        size = backbone.geometry.frames_per_group
        inputs = {
            "pixel_values_videos": patchify(frames, backbone.geometry, backbone.colors),
            "video_grid_thw": torch.tensor([layout.grid]),
            "mm_token_type_ids": (ids == backbone.visual_token_id).int() * 2,
        }
        seconds = {"second_per_grid_ts": [size / FPS]}
        return inputs | (seconds if family == "qwen2_5_vl" else {})
    pixels = normalised(frames, backbone.colors)
    if family == "internvl":
        return {"pixel_values": pixels}
    name = "pixel_values_videos" if family == "llava_onevision" else "pixel_values"
    return {name: pixels[None]}


def test_logits_equal_those_of_transformers_from_pixels(folder: Path) -> None:
    backbone = load(folder)
    batch = one_row(make_batch(backbone), 1)
    ours = VideoLatent(backbone, None).eval()(batch).answer_logits
    ids = torch.cat((batch.video_prompt.ids, batch.question.ids, batch.answer.ids), 1)
    with torch.no_grad():
        inputs = pixel_inputs(backbone, frames_for(backbone), ids)
        theirs = backbone.core(input_ids=ids, use_cache=False, **inputs).logits
    length = batch.answer.ids.shape[1]
    assert torch.allclose(ours, theirs[:, -length - 1 : -1], atol=1e-4)


def test_text_goes_on_after_the_last_moment_of_a_long_video(tmp_path: Path) -> None:
    backbone = load(write_family(tmp_path, "qwen2_5_vl"))
    with torch.no_grad():
        features = backbone.encode_video(frames_for(backbone, count=40))
    head = Prompter(backbone).collate([features], [[Example(*QUESTIONS[0])]]).video_prompt
    positions, after = backbone.prompt_positions(head.ids, head.mask, [features])
    assert int(after) == int(positions.max()) + 1
    inside = positions[:, head.ids == backbone.visual_token_id]
    assert int(inside[0].max()) > int(inside[1:].max())


def test_summaries_are_the_last_states_of_transformers_own_forward(folder: Path) -> None:
    backbone = load(folder)
    summarizer, prompter = Summarizer(backbone), Prompter(backbone)
    texts = ["a cup", "a red square that moves left"]
    found = summarizer.texts(texts)
    for text, vector in zip(texts, found, strict=True):
        ids = torch.tensor(prompter.text_prompts([TEXT_PROMPT.format(text=text)]))
        assert backbone.visual_token_id not in ids
        with torch.no_grad():
            out = backbone.core(input_ids=ids, output_hidden_states=True)
        assert torch.allclose(vector, normalize(out.hidden_states[-1][0, -1], dim=0), atol=1e-4)
    batch = make_batch(backbone)
    together = summarizer.videos(batch.videos)
    for row, video in enumerate(batch.videos):
        assert torch.allclose(summarizer.videos([video])[0], together[row], atol=1e-4)
    asked = prompter.collate([batch.videos[0]], [[Example(VIDEO_PROMPT, "")]])
    ids = torch.cat((asked.video_prompt.ids, asked.question.ids), 1)
    with torch.no_grad():
        inputs = pixel_inputs(backbone, frames_for(backbone), ids)
        out = backbone.core(input_ids=ids, output_hidden_states=True, use_cache=False, **inputs)
    assert torch.allclose(together[0], normalize(out.hidden_states[-1][0, -1], dim=0), atol=1e-4)


@pytest.mark.parametrize("view", ["latents", "question"])
def test_a_row_of_a_padded_batch_equals_a_batch_of_one(
    folder: Path, view: Literal["latents", "question"]
) -> None:
    model = VideoLatent(load(folder), LATENT).eval()
    batch = make_batch(model.backbone)
    assert not bool(batch.video_prompt.mask.all())
    whole = model(batch, bottleneck=view)
    for row in range(4):
        alone = model(one_row(batch, row), bottleneck=view)
        length = alone.answer_logits.shape[1]
        for ours, single in (
            (whole.answer_logits, alone.answer_logits),
            (whole.bottleneck_logits, alone.bottleneck_logits),
        ):
            assert torch.allclose(ours[row, :length], single[0], atol=1e-4)


def test_training_and_generation_are_one_rollout(folder: Path) -> None:
    model = VideoLatent(load(folder), LATENT).eval()
    batch = make_batch(model.backbone)
    trained, used = model(batch), generate(model, batch, end_of_turn=0)
    assert torch.equal(used.rollout.latents, trained.rollout.latents)
    assert torch.allclose(used.first_logits, trained.answer_logits[:, 0], atol=1e-4)


def test_features_survive_the_cache_bit_by_bit(folder: Path) -> None:
    backbone = load(folder)
    with torch.no_grad():
        live = backbone.encode_video(frames_for(backbone))
    row = features_to_row(
        live, key="k", content_id="c", sampling_hash="s", fingerprint="f", source="v"
    )
    kept = row_to_features(row, torch.device("cpu"))
    assert kept.grid == live.grid
    assert torch.equal(kept.embeds, live.embeds)
    assert len(kept.embeds) == backbone.num_visual_tokens(kept.grid)
    assert (kept.deep is None) == (live.deep is None)
    if live.deep is not None:
        assert torch.equal(kept.deep, live.deep)


@pytest.mark.parametrize("seen", ["endpoints", "shuffled", "none"])
def test_what_a_leak_check_leaves_of_a_video_fits_the_prompt(folder: Path, seen: Visible) -> None:
    backbone = load(folder)
    with torch.no_grad():
        features = only_visible(backbone.encode_video(frames_for(backbone)), seen)
        batch = Prompter(backbone).collate([features], [[Example(*QUESTIONS[0])]])
        logits = VideoLatent(backbone, LATENT).eval()(batch).answer_logits
    marks = int((batch.video_prompt.ids == backbone.visual_token_id).sum())
    assert marks == len(features.embeds) == backbone.num_visual_tokens(features.grid)
    assert bool(logits.isfinite().all())


def test_videos_encoded_together_equal_each_alone(folder: Path) -> None:
    backbone = load(folder)
    pair = [frames_for(backbone), frames_for(backbone, seed=1, count=2)]
    with torch.no_grad():
        for frames, together in zip(pair, backbone.encode_videos(pair), strict=True):
            alone = backbone.encode_video(frames)
            assert torch.allclose(alone.embeds, together.embeds, atol=1e-5)


def loss_in_one_pass(model: VideoLatent, batch: Batch) -> torch.Tensor:
    """The answer's loss with the whole text of one row run again, from the video on, each time."""
    backbone, injection, features = model.backbone, model.injection, list(batch.videos)
    assert injection is not None
    ids, question = batch.video_prompt.ids, model.prefill(batch)
    visual = ids == backbone.visual_token_id
    merged = torch.cat([video.embeds for video in features])
    head = backbone.embed(ids).masked_scatter(visual[..., None], merged)
    positions, after = backbone.prompt_positions(ids, batch.video_prompt.mask, features)

    def run(rest: torch.Tensor, moves: torch.Tensor) -> torch.Tensor:
        flat = after[:, None] + moves.cumsum(0)[None] - 1
        everywhere = torch.cat((positions, backbone.text_positions(flat)), -1)
        deep = backbone.deepstack_inputs(pad(visual, (0, len(moves))), features)
        embeds = torch.cat((head, rest), 1)
        mask = torch.ones(embeds.shape[:2], dtype=torch.bool)
        nothing = backbone.empty_state(1)
        return backbone._run(embeds, mask, everywhere, after, nothing, (), **deep).hidden

    rest = torch.cat((question.embeds, injection.start[None], injection.slots[None]), 1)
    moves = torch.zeros(rest.shape[1], dtype=torch.long)
    moves[: question.embeds.shape[1]] = 1
    for block in range(injection.num_blocks):
        z, _ = injection(
            run(rest, moves)[:, -injection.latents_per_block :], question.memory, block
        )
        rest, moves = torch.cat((rest, z), 1), pad(moves, (0, z.shape[1]))
    answers = backbone.embed(batch.answer.ids[:, :-1])
    rest, moves = (
        torch.cat((rest, injection.end[None], answers), 1),
        torch.cat(
            (
                moves,
                torch.zeros(1, dtype=torch.long),
                torch.ones(answers.shape[1], dtype=torch.long),
            )
        ),
    )
    hidden = run(rest, moves)[:, -batch.answer.ids.shape[1] :]
    return answer_loss(backbone.logits(hidden), batch.answer.ids, batch.answer.mask)


def test_gradient_through_the_state_is_that_of_one_pass(folder: Path) -> None:
    model = VideoLatent(load(folder), LATENT).eval()
    assert model.injection is not None
    torch.nn.init.normal_(model.injection.down.weight, std=0.1)
    batch = one_row(make_batch(model.backbone), 0)
    grads = []
    for loss in (
        answer_loss(model(batch).answer_logits, batch.answer.ids, batch.answer.mask),
        loss_in_one_pass(model, batch),
    ):
        model.zero_grad()
        loss.backward()
        grads.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, gradient in grads[0].items():
        assert torch.allclose(grads[1][name], gradient, rtol=1e-3, atol=1e-5), name


def answered(
    folder: Path, kernel: str, device: str, dtype: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of the answers through the rollout, and all gradients in one row."""
    recipe = BackboneRecipe(model=str(folder), train="full", attention=kernel, dtype=dtype)
    backbone = load_backbone(recipe, device)
    backbone.make_trainable(recipe)
    torch.manual_seed(0)
    model = VideoLatent(backbone, LATENT).eval()
    batch = make_batch(backbone).to(backbone.device)
    out = model(batch, bottleneck="question")
    assert out.bottleneck_logits is not None
    losses = [
        answer_loss(logits, batch.answer.ids, batch.answer.mask)
        for logits in (out.answer_logits, out.bottleneck_logits)
    ]
    torch.stack(losses).sum().backward()
    learned = [p.grad.float().flatten() for p in model.parameters() if p.grad is not None]
    return out.answer_logits.detach().float()[batch.answer.mask], torch.cat(learned)


@pytest.mark.gpu
@pytest.mark.skipif(
    not torch.cuda.is_available() and "REQUIRE_GPU" not in os.environ, reason="there is no GPU"
)
@pytest.mark.parametrize("kernel", ["flash_attention_2", "flash_attention_3", "flash_attention_4"])
def test_flash_attention_answers_and_learns_as_sdpa(folder: Path, kernel: str) -> None:
    if _obstacle(kernel, "cuda") and kernel != "flash_attention_2":
        pytest.skip(f"{kernel}: {_obstacle(kernel, 'cuda')}")
    plain, found = (answered(folder, name, "cuda", "bfloat16") for name in ("sdpa", kernel))
    for wanted, got in zip(plain, found, strict=True):
        assert cosine_similarity(got, wanted, dim=0 if wanted.ndim == 1 else -1).min() > 0.98
    assert (found[0] - plain[0]).abs().max() < 0.05 * plain[0].abs().max()


def test_another_kernel_answers_and_learns_as_sdpa(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What runs on any machine of the test above: attention written out, in float32."""
    plain = answered(folder, "sdpa", "cpu", "float32")
    monkeypatch.setattr(load_module, "choose_attention", lambda *_: "eager")
    found = answered(folder, "auto", "cpu", "float32")
    for wanted, got in zip(plain, found, strict=True):
        assert torch.allclose(got, wanted, rtol=1e-3, atol=1e-5)


def test_a_prefix_that_is_computed_again_gives_the_same_gradients(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recompute, "PART", 5)
    grads = []
    for again in (False, True):
        model = VideoLatent(load(folder), LATENT).eval()
        model.recompute_prefix = again
        batch = make_batch(model.backbone)
        answer_loss(model(batch).answer_logits, batch.answer.ids, batch.answer.mask).backward()
        grads.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, gradient in grads[0].items():
        assert torch.allclose(grads[1][name], gradient, rtol=1e-4, atol=1e-6), name


def test_lora_learns_in_the_decoder_only_and_gradients_reach_all_of_it(folder: Path) -> None:
    model = VideoLatent(load(folder, train="lora"), LATENT)
    batch = make_batch(model.backbone)
    out = model(batch)
    answer_loss(out.answer_logits, batch.answer.ids, batch.answer.mask).backward()
    learns = {n for n, p in model.backbone.named_parameters() if p.requires_grad}
    assert learns
    assert all("lora_" in name and f".{model.backbone.decoder}." in name for name in learns)
    moved = [p.grad.abs().max() for n, p in model.backbone.named_parameters() if "lora_B" in n]
    assert min(moved) > 0


def test_fingerprint_follows_the_vision_weights_only(folder: Path) -> None:
    backbone = load(folder)
    before = features_fingerprint(backbone)
    with torch.no_grad():
        backbone.core.lm_head.weight.add_(1)
        next(backbone.language_model.parameters()).add_(1)
    assert features_fingerprint(backbone) == before
    with torch.no_grad():
        next(iter(backbone.vision_parameters()))[1].add_(1)
    assert features_fingerprint(backbone) != before


# --- prompts, against the code of transformers' processors


def their_text(backbone: Backbone, frames: FrameBatch) -> str:
    """What transformers' processor writes for a video."""
    layout = backbone.layout_of(frames)
    side = int(backbone.num_visual_tokens((1, *layout.grid[1:])))
    marks = {"start_image_token": "<img>", "end_image_token": "</img>"}
    metadata = SimpleNamespace(
        fps=2.0,
        frames_indices=list(range(122, 122 + len(frames))),
        timestamps=frames.pts_seconds.tolist(),
        duration=None,
    )
    family = backbone.config.model_type
    if family == "internvl":
        them = SimpleNamespace(**marks, image_token="<IMG_CONTEXT>", image_seq_length=side)
        inputs = {"pixel_values_videos": [frames.data]}
        return InternVLProcessor.replace_video_token(them, inputs, 0)
    if family == "llava_onevision":
        them = SimpleNamespace(video_token="<video>", num_image_tokens=49)
        inputs = {"pixel_values_videos": [frames.data]}
        return LlavaOnevisionProcessor.replace_video_token(them, inputs, 0)
    if family == "smolvlm":
        them = SimpleNamespace(
            image_seq_len=side,
            image_token="<image>",
            fake_image_token="<fake_token_around_image>",
            global_image_token="<global-img>",
        )
        inputs = {"pixel_values": frames.data[None], "video_metadata": [metadata]}
        return SmolVLMProcessor.replace_video_token(them, inputs, 0)
    them = SimpleNamespace(
        video_processor=SimpleNamespace(merge_size=2, temporal_patch_size=2),
        vision_start_token="<|vision_start|>",
        vision_end_token="<|vision_end|>",
        video_token="<|video_pad|>",
    )
    them._calculate_timestamps = lambda *args: Qwen3VLProcessor._calculate_timestamps(them, *args)
    inputs = {"video_grid_thw": torch.tensor([layout.grid]), "video_metadata": [metadata]}
    return Qwen3VLProcessor.replace_video_token(them, inputs, 0)


def test_video_text_is_that_of_transformers(folder: Path) -> None:
    backbone = load(folder)
    frames = frames_for(backbone)
    ours = backbone.video_text(backbone.layout_of(frames))
    if backbone.config.model_type in ("qwen2_vl", "qwen2_5_vl"):
        assert ours == "<|video_pad|>" * (3 * 2 * 3)
        return
    assert ours + backbone.after_video == their_text(backbone, frames)


# --- the whole way, and what can go wrong


def test_from_video_files_to_an_answer(folder: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / name, 12, 4)
    write_jsonl(
        tmp_path / "t.jsonl",
        [
            {"video": name, "question": question, "answer": answer}
            for name in ("a.mp4", "b.mp4")
            for question, answer in QUESTIONS
        ],
    )
    recipe = make_recipe(
        folder,
        data="{type: triplets, path: t.jsonl}",
        video="{fps: 2, min_frames: 2, max_frames: 4, min_pixels: 1024, max_pixels: 2048}",
        backbone=f"{{model: '{folder}', train: lora, lora: {{rank: 2, alpha: 4}}}}",
    )
    run = tmp_path / "run"
    report = train(TrainRequest(recipe, "", run, tmp_path), Machine(tmp_path / "cache"))
    assert report.steps == 4
    answer = ask(
        AskRequest(tmp_path / "a.mp4", "What moved first?", run), Machine(tmp_path / "runs")
    ).answer
    assert answer.evidence
    assert all(0 <= moment.start_seconds < 3 for moment in answer.evidence)
    export_run(ExportRequest(run, tmp_path / "out"))
    before, after = load(folder), load(tmp_path / "out")
    frames = frames_for(before)
    assert torch.equal(before.encode_video(frames).embeds, after.encode_video(frames).embeds)


def test_smolvlm_needs_a_package_for_its_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = load(write_family(tmp_path, "smolvlm"))
    monkeypatch.setitem(sys.modules, "num2words", None)
    with pytest.raises(SetupError, match=r"pip install 'videolatent-cli\[smolvlm\]'"):
        backbone.video_text(backbone.layout_of(frames_for(backbone)))


def test_processor_settings_are_found_in_all_places(tmp_path: Path) -> None:
    write_family(tmp_path, "qwen2_vl")
    settings = tmp_path / "video_preprocessor_config.json"
    found = json.loads(settings.read_text())
    settings.unlink()
    with pytest.raises(SetupError, match="has no file with the processor's image_mean"):
        load(tmp_path)
    nested = tmp_path / "processor_config.json"
    nested.write_text(json.dumps({"video_processor": found}))
    assert load(tmp_path).colors.mean == (0.5, 0.4, 0.3)
    nested.write_text(json.dumps({"processor_class": "Qwen2VLProcessor"}))
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps(found | {"image_mean": [0.0] * 3})
    )
    assert load(tmp_path).colors.mean == (0, 0, 0)


def test_frames_are_resized_as_the_processors_file_says(tmp_path: Path) -> None:
    write_family(tmp_path, "smolvlm")
    settings = tmp_path / "video_preprocessor_config.json"
    found = json.loads(settings.read_text())
    assert load(tmp_path).resizing == Resizing("lanczos", 4 * 364)
    settings.write_text(json.dumps(found | {"size": {"longest_edge": 9999}, "resample": 3}))
    assert load(tmp_path).resizing == Resizing("bicubic", 4096)
    sampled = {"video_sampling": {"video_size": {"longest_edge": 384}}}
    settings.write_text(json.dumps(found | sampled))
    assert load(tmp_path).resizing == Resizing("lanczos", 384)
    settings.write_text(json.dumps(found | {"resample": 0}))
    with pytest.raises(SetupError, match=r"resample must be one of .*, got 0;"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"language_model.lm_head.weight": None}, "1 missing weights, got lm_head.weight"),
        ({"extra.weight": torch.zeros(2)}, "1 unexpected weights, got extra.weight"),
    ],
)
def test_weights_that_do_not_fit_stop_the_load(
    tmp_path: Path, change: dict[str, torch.Tensor | None], message: str
) -> None:
    path = write_family(tmp_path, "llava_onevision") / "model.safetensors"
    weights = {**load_file(path), **change}
    save_file({n: w for n, w in weights.items() if w is not None}, path, {"format": "pt"})
    with pytest.raises(SetupError, match=message):
        load(tmp_path)


RECIPES = {
    "qwen2_5_vl_3b": "qwen2_5_vl",
    "qwen2_5_vl_7b": "qwen2_5_vl",
    "qwen3_vl_8b": "qwen3_vl",
    "internvl3_8b": "internvl",
    "smolvlm2_2b": "smolvlm",
    "llava_onevision_7b": "llava_onevision",
}


@pytest.mark.parametrize(("name", "family"), RECIPES.items())
def test_recipes_of_released_models_run_with_random_ones(
    name: str, family: str, tmp_path: Path
) -> None:
    make_video(tmp_path / "a.mp4", 12, 4)
    row = {"video": "a.mp4", "question": "What moved?", "answer": "a cup"}
    write_jsonl(tmp_path / "train.jsonl", [row])
    write_family(tmp_path / "model", family)
    small = ["training.max_steps=1", "training.gradient_accumulation_steps=1"]
    recipe = load_recipe(shipped_recipe(name), [f"backbone.model={tmp_path / 'model'}", *small])
    request = TrainRequest(recipe, "", tmp_path / "run", tmp_path)
    machine = Machine(tmp_path / "cache")
    assert "on 1 triplets" in str(train(replace(request, dry_run=True), machine).dry_run)
    assert train(request, machine).steps == 1
