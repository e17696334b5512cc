"""Tokens, pixels, states, attention choice, features, checkpoints."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig

from tests.factories import frame_batch, make_recipe, small_backbone, small_model
from videolatent_cli.errors import IncompatibleError, SetupError
from videolatent_cli.model.backbones import attention
from videolatent_cli.model.backbones.attention import choose_attention, explain_attention
from videolatent_cli.model.backbones.features import VideoFeatures, only_visible
from videolatent_cli.model.backbones.load import check_device, load_backbone
from videolatent_cli.model.backbones.pixels import Colors, Geometry, patchify
from videolatent_cli.model.backbones.tiny import (
    TINY_FOLDER,
    WORDS,
    make_tokenizer,
    write_tiny_folder,
)
from videolatent_cli.model.batch import Example, Prompter, pad
from videolatent_cli.model.cached import (
    features_to_row,
    frames_to_row,
    row_to_features,
    row_to_frames,
)
from videolatent_cli.model.checkpoint import (
    describe_checkpoint,
    find_checkpoint,
    load_tensors,
    read_checkpoint,
    save_checkpoint,
    trained_tensors,
)
from videolatent_cli.model.load import build_model, restore_model, sampling_of, untrained_hash
from videolatent_cli.model.source import features_fingerprint
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.video.frames import FrameBatch

LATENT = Latent(num_blocks=1, latents_per_block=2, relook_heads=2)


def test_patches_are_pixels_in_qwen_order_and_the_last_frame_fills_its_group() -> None:
    data = np.arange(3 * 8 * 8 * 3, dtype=np.uint32).reshape(3, 8, 8, 3).astype(np.uint8)
    colors = Colors((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))
    out = patchify(FrameBatch(data, np.array([0.0, 1.0, 2.0])), Geometry(2, 2, 2), colors)
    assert out.shape == (32, 3 * 2 * 2 * 2)
    # second patch of the first merged block: rows 0-1, columns 2-3, channel first, then time
    wanted = data[0:2, 0:2, 2:4].transpose(3, 0, 1, 2).reshape(-1)
    assert out[1].tolist() == wanted.tolist()
    # third patch of the block is below the first one
    assert out[2].tolist() == data[0:2, 2:4, 0:2].transpose(3, 0, 1, 2).reshape(-1).tolist()
    last = out[16].view(3, 2, 2, 2)
    assert torch.equal(last[:, 0], last[:, 1])


def test_frame_batch_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"must be uint8 \(frame, height, width, 3\), got float"):
        FrameBatch(np.zeros((1, 2, 2, 3)), np.zeros(1))
    with pytest.raises(ValueError, match="one time for each of at least one frame"):
        FrameBatch(np.zeros((2, 2, 2, 3), np.uint8), np.zeros(1))
    with pytest.raises(ValueError, match="must not decrease"):
        FrameBatch(np.zeros((2, 2, 2, 3), np.uint8), np.array([1.0, 0.0]))


def test_pad_left_and_right() -> None:
    left, right = pad([[1], [2, 3]], "left"), pad([[1], [2, 3]], "right")
    assert left.ids.tolist() == [[0, 1], [2, 3]]
    assert left.mask.tolist() == [[False, True], [True, True]]
    assert right.ids.tolist() == [[1, 0], [2, 3]]


def test_prompter_cuts_the_template_around_the_video(small_folder: Path) -> None:
    backbone = small_backbone(small_folder)
    prompter = Prompter(backbone)
    head, question = (
        prompter.video_prompts([backbone.layout_of(frame_batch())])[0],
        prompter.questions(["Which color moved first?"])[0],
    )
    assert head.count(backbone.config.video_token_id) == 32 == backbone.num_visual_tokens((2, 8, 8))
    text = backbone.tokenizer.apply_chat_template(
        [
            {
                "role": "user",
                "content": [
                    {"type": "video"},
                    {"type": "text", "text": "Which color moved first?"},
                ],
            }
        ],
        tokenize=False,
        add_generation_prompt=True,
    )
    whole = backbone.tokenizer(text, add_special_tokens=False).input_ids
    single = [
        t for i, t in enumerate(head) if t != head[i - 1] or t != backbone.config.video_token_id
    ]
    assert [*single, *question] == whole
    assert prompter.decode(prompter.answers(["up"])[0]) == "up"
    assert prompter.answers(["up"])[0][-1] == prompter.end_of_turn
    assert prompter.decode(prompter.hints(["up"])[0]) == "the correct answer is : up"


def test_prompter_finds_unknown_words(small_folder: Path) -> None:
    prompter = Prompter(small_backbone(small_folder))
    assert prompter.unknown_words("Which zebra moved?") == ["zebra"]
    assert prompter.unknown_words("which color moved ?") == []


def test_collate_shares_heads(small_folder: Path) -> None:
    backbone = small_backbone(small_folder)
    prompter = Prompter(backbone)
    frames = [frame_batch(0), frame_batch(1, 2)]
    groups = [[Example("How many?", "2"), Example("Where?", "up")], [Example("Who?", "red")]]
    batch = prompter.collate(frames, groups)
    assert batch.video_index.tolist() == [0, 0, 1]
    assert batch.video_prompt.mask.sum(1).tolist() == [32 + 4, 16 + 4]
    assert batch.num_tokens == sum(
        int(p.mask.sum()) for p in (batch.video_prompt, batch.question, batch.answer)
    )


def test_tokenizer_words_are_single_tokens_and_survive_saving(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    assert all(len(tokenizer(word).input_ids) == 1 for word in WORDS)
    assert tokenizer.unk_token_id not in tokenizer(" ".join(WORDS)).input_ids
    write_tiny_folder(tmp_path / "t")
    for name in ("tokenizer.json", "preprocessor_config.json", "chat_template.jinja"):
        assert (tmp_path / "t" / name).read_text() == (TINY_FOLDER / name).read_text(), name
    # As loaded: the file names the version of transformers that wrote it.
    made, kept = (AutoConfig.from_pretrained(folder) for folder in (tmp_path / "t", TINY_FOLDER))
    made.name_or_path = kept.name_or_path
    assert made.to_dict() == kept.to_dict()


def test_features_do_not_depend_on_company_or_cache(small_folder: Path) -> None:
    backbone = small_backbone(small_folder).eval()
    with torch.no_grad():
        alone = backbone.encode_video(frame_batch(3))
    row = features_to_row(
        alone, key="k", content_id="c", sampling_hash="s", fingerprint="f", source="a.mp4"
    )
    back = row_to_features(row, backbone.device)
    assert torch.equal(back.embeds, alone.embeds)
    assert back.grid == alone.grid
    assert torch.equal(back.group_seconds, alone.group_seconds)
    assert alone.seconds_per_group == pytest.approx(0.5)
    half = small_backbone(small_folder).to(torch.bfloat16)
    with torch.no_grad():
        features = half.encode_video(frame_batch(3))
    again = row_to_features(
        features_to_row(
            features, key="k", content_id="c", sampling_hash="s", fingerprint="f", source=""
        ),
        half.device,
    )
    assert again.embeds.dtype == torch.bfloat16
    assert torch.equal(again.embeds, features.embeds)


def test_frames_to_row_round_trip() -> None:
    frames = frame_batch(2)
    back = row_to_frames(
        frames_to_row(frames, key="k", content_id="c", sampling_hash="s", source="")
    )
    assert np.array_equal(back.data, frames.data)
    assert np.array_equal(back.pts_seconds, frames.pts_seconds)


def test_fingerprint_follows_the_vision_weights_only(small_folder: Path) -> None:
    backbone = small_backbone(small_folder)
    first = features_fingerprint(backbone)
    with torch.no_grad():
        backbone.language_model.layers[0].mlp.up_proj.weight.add_(1)
    assert features_fingerprint(backbone) == first
    with torch.no_grad():
        backbone.core.model.visual.merger.mlp[2].bias.add_(1)
    assert features_fingerprint(backbone) != first


def test_attention_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_attention("auto", "cpu") == "sdpa"
    assert choose_attention("sdpa", "cpu") == "sdpa"
    with pytest.raises(SetupError, match="flash_attention_2 cannot run, it needs a CUDA"):
        choose_attention("flash_attention_2", "cpu")
    assert explain_attention("sdpa", "cpu") == "sdpa, as set in the recipe"
    assert explain_attention("auto", "cpu") == (
        "sdpa (flash_attention_4, flash_attention_3, flash_attention_2: "
        "it needs a CUDA GPU, got device 'cpu')"
    )
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    attention._obstacle.cache_clear()
    with pytest.raises(SetupError, match="'flash-attn' is not installed: pip install"):
        choose_attention("flash_attention_2", "cuda")
    assert choose_attention("auto", "cuda") == "sdpa"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 0))
    attention._obstacle.cache_clear()
    with pytest.raises(SetupError, match=r"it needs compute capability 8\.0"):
        choose_attention("flash_attention_2", "cuda")
    attention._obstacle.cache_clear()


def test_load_backbone_says_what_it_cannot_load(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"backbone.model: cannot load, got 'no/such'"):
        load_backbone(BackboneRecipe(model="no/such"))
    write_tiny_folder(tmp_path / "other")
    path = tmp_path / "other" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"model_type": "qwen3_5"}))
    with pytest.raises(SetupError, match="is of family qwen3_5, supported: qwen2_vl"):
        load_backbone(BackboneRecipe(model=str(tmp_path / "other")))


def test_check_device() -> None:
    assert check_device("cpu") == "cpu"
    with pytest.raises(SetupError, match="--device: cannot be used, got 'nope'"):
        check_device("nope")


def test_checkpoint_round_trip_restores_the_same_answers(
    small_folder: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(
        small_folder, backbone=f"{{model: '{small_folder}', train: lora, lora: {{rank: 2}}}}"
    )
    model = build_model(recipe)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    about = describe_checkpoint(3, 9, recipe, sampling_of(recipe, model), untrained_hash(model))
    folder = save_checkpoint(tmp_path, about, trained_tensors(model), {"x": torch.ones(2)})
    found = find_checkpoint(tmp_path.parent / tmp_path.name) or read_checkpoint(folder)
    assert (found.step, found.total_steps, found.finished) == (3, 9, False)
    assert found.training_tensors()["x"].tolist() == [1.0, 1.0]
    from tests.factories import make_batch

    back = restore_model(found)
    batch = make_batch(back)
    assert torch.equal(back(batch).answer_logits, model.eval()(batch).answer_logits)


def test_checkpoint_keeps_only_the_newest_and_says_what_is_wrong(
    small_folder: Path, tmp_path: Path
) -> None:
    recipe = make_recipe(small_folder)
    model = build_model(recipe)
    for step in (1, 2):
        about = describe_checkpoint(step, 2, recipe, sampling_of(recipe, model), "other")
        folder = save_checkpoint(tmp_path / "checkpoints", about, trained_tensors(model), {})
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-0000002"]
    checkpoint = find_checkpoint(tmp_path)
    assert checkpoint is not None
    with pytest.raises(IncompatibleError, match="was trained on backbone weights other"):
        restore_model(checkpoint)
    with pytest.raises(IncompatibleError, match=r"missing \['backbone.*unexpected \['strange'\]"):
        load_tensors(model, {"strange": torch.ones(1)}, folder)
    name, tensor = next(iter(trained_tensors(model).items()))
    with pytest.raises(IncompatibleError, match="must have shape"):
        load_tensors(model, trained_tensors(model) | {name: torch.ones(1, 1, 1)}, folder)
    assert tensor.ndim
    about = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(about | {"schema": "vl.checkpoint/0"}))
    with pytest.raises(
        IncompatibleError, match=r"schema must be vl\.checkpoint/1, got vl\.checkpoint/0"
    ):
        read_checkpoint(folder)
    (folder / "checkpoint.json").write_text("{")
    with pytest.raises(IncompatibleError, match="not a checkpoint"):
        read_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(IncompatibleError, match="cannot be read"):
        checkpoint.model_tensors()


def test_model_parts_are_in_evaluation_mode(small_folder: Path) -> None:
    assert not small_model(small_folder, LATENT).training


def test_leak_checks_keep_what_they_say() -> None:
    embeds = torch.arange(24.0).view(12, 2)
    features = VideoFeatures((3, 4, 4), torch.tensor([0.0, 1.0, 2.0]), torch.arange(6.0), embeds)
    assert only_visible(features, "video") is features
    ends = only_visible(features, "endpoints")
    assert ends.grid == (2, 4, 4)
    assert torch.equal(ends.embeds, torch.cat((embeds[:4], embeds[8:])))
    assert ends.group_seconds.tolist() == [0.0, 2.0]
    shuffled = only_visible(features, "shuffled")
    rows = [int(group[0, 0]) // 8 for group in shuffled.embeds.view(3, 4, 2)]
    assert sorted(rows) == [0, 1, 2]
    assert torch.equal(shuffled.embeds, only_visible(features, "shuffled").embeds)
    assert shuffled.group_seconds.tolist() == [0.0, 1.0, 2.0]
    nothing = only_visible(features, "none")
    assert nothing.embeds.abs().max() == 0
    assert nothing.grid == features.grid
