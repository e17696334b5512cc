"""Prompts of released models: the text, the ids, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import Result
from tests.factories import make_video, recipe_text, write_jsonl
from tests.families import write_family
from tests.released import CHATML, LOADABLE, QUANTIZED, released_files, write_released
from videolatent_cli.errors import IncompatibleError, SetupError
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.video.frames import FrameBatch

QWEN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "<|vision_start|>[12]<|vision_end|>What moved?<|im_end|>\n<|im_start|>assistant\n"
    "a cup<|im_end|>"
)
_TIMES = "".join(f"\nFrame from 00:0{t}:<fake_token_around_image><global-img>[64]" for t in "0011")
GOLDEN = {
    "Qwen2-VL-2B-Instruct": QWEN,
    "Qwen2.5-VL-7B-Instruct": QWEN,
    "Qwen3-VL-4B-Instruct": (
        "<|im_start|>user\n<|vision_start|><0.5 seconds><|vision_start|>[6]<|vision_end|>"
        "<1.5 seconds><|vision_start|>[6]<|vision_end|><|vision_end|>What moved?<|im_end|>\n"
        "<|im_start|>assistant\na cup<|im_end|>"
    ),
    "InternVL3-1B-hf": (
        "<|im_start|>user\nFrame1: <img>[256]</img>\nFrame2: <img>[256]</img>\n"
        "Frame3: <img>[256]</img>\nFrame4: <img>[256]</img>\nWhat moved?<|im_end|>\n"
        "<|im_start|>assistant\na cup<|im_end|>"
    ),
    "llava-onevision-qwen2-0.5b-ov-hf": (
        "<|im_start|>user [785]\nWhat moved?<|im_end|><|im_start|>assistant\na cup<|im_end|>"
    ),
    "SmolVLM2-500M-Video-Instruct": (
        "<|im_start|>User: You are provided the following series of four frames from a 0:00:02 "
        "[H:MM:SS] video.\n"
        + _TIMES.replace("[64]", "[64]<fake_token_around_image>")
        + "\n\nWhat moved?<end_of_utterance>\nAssistant: a cup<end_of_utterance>"
    ),
}
"""What transformers' processors write; [N] are N visual tokens.

Of LLaVA-OneVision, the template puts a space before the line feed of an answer, but not of a prompt.
"""


@pytest.fixture(scope="module", params=LOADABLE)
def release(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Backbone]:
    folder = write_released(tmp_path_factory.mktemp("released"), request.param)
    return request.param, load(folder)


def load(folder: Path) -> Backbone:
    return load_backbone(BackboneRecipe(model=str(folder), train="full")).eval()


def frames_for(backbone: Backbone, seed: int = 0) -> FrameBatch:
    """Four frames of two seconds."""
    unit = backbone.geometry.size_multiple_px
    width, height = backbone.geometry.frame_size_px or (2 * unit, 3 * unit)
    data = np.random.default_rng(seed).integers(0, 256, (4, height, width, 3), dtype=np.uint8)
    return FrameBatch(data, np.arange(4) / 2 + 0.25, 2.1)


def conversation(backbone: Backbone, question: str, answer: str) -> list[int]:
    """Ids of a whole conversation, part by part."""
    prompter = Prompter(backbone)
    (video,) = prompter.video_prompts([backbone.layout_of(frames_for(backbone))])
    return video + prompter.questions([question])[0] + prompter.answers([answer])[0]


def test_a_conversation_is_that_of_transformers(release: tuple[str, Backbone]) -> None:
    name, backbone = release
    tokenizer = backbone.tokenizer
    ids = conversation(backbone, "What moved?", "a cup")
    text = tokenizer.decode(ids)
    visual = tokenizer.convert_ids_to_tokens(backbone.visual_token_id)
    marked = re.sub(f"({re.escape(visual)})+", lambda run: f"[{len(run[0]) // len(visual)}]", text)
    assert marked == GOLDEN[name]
    # Cut anywhere, a text may get other ids: the parts must be those of the whole.
    assert ids == tokenizer(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("question", ["\nWhat?", " What?", "1 or 2?\n", "What?\n\n(A) up"])
def test_parts_are_those_of_the_whole_whatever_the_question(
    release: tuple[str, Backbone], question: str
) -> None:
    _, backbone = release
    ids = conversation(backbone, question, "12 cups")
    text = backbone.tokenizer.decode(ids)
    assert question in text
    assert ids == backbone.tokenizer(text, add_special_tokens=False).input_ids


def test_another_video_moves_the_answer(release: tuple[str, Backbone]) -> None:
    _, backbone = release
    torch.manual_seed(0)
    model = VideoLatent(backbone, Latent(num_blocks=1, latents_per_block=1, relook="none")).eval()
    logits = []
    for seed in (0, 1):
        with torch.no_grad():
            features = backbone.encode_video(frames_for(backbone, seed))
            batch = Prompter(backbone).collate([features], [[Example("What moved?", "a cup")]])
            assert int((batch.video_prompt.ids == backbone.visual_token_id).sum()) == len(
                features.embeds
            )
            logits.append(model(batch).answer_logits)
    assert not torch.equal(*logits)


def test_the_template_of_the_later_llava_converter_is_split_too(tmp_path: Path) -> None:
    release = "llava-onevision-qwen2-0.5b-ov-hf"
    folder = write_released(tmp_path, release)
    later = released_files(release)["chat_template.of_the_later_converter.json"]
    (folder / "chat_template.json").write_text(json.dumps(later))
    backbone = load(folder)
    ids = conversation(backbone, "What moved?", "a cup")
    text = backbone.tokenizer.decode(ids)
    assert ids == backbone.tokenizer(text, add_special_tokens=False).input_ids
    assert ids.count(backbone.visual_token_id) == 4 * 196 + 1


def test_a_text_only_template_of_the_tokenizer_is_not_taken(tmp_path: Path) -> None:
    """The layout of a copy of Qwen2.5-VL-3B."""
    folder = write_released(tmp_path, "Qwen2.5-VL-7B-Instruct")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": CHATML}))
    backbone = load(folder)
    assert conversation(backbone, "What?", "this").count(backbone.visual_token_id) == 12
    (folder / "chat_template.json").unlink()
    with pytest.raises(SetupError, match="cannot write a question about a video"):
        Prompter(load(folder))


def test_quantized_releases_stop_with_one_line(tmp_path: Path) -> None:
    folder = write_released(tmp_path, QUANTIZED)
    with pytest.raises(SetupError, match=r"cannot load, got '.*' \(.*\); name its release without"):
        load(folder)


TYPED = (
    "<|im_end|>",
    "<|im_start|>",
    "<|vision_start|><|video_pad|>",
    "<video>",
    "<image>",
    "<IMG_CONTEXT>",
    "<end_of_utterance>",
    "<fake_token_around_image>",
)


def test_special_tokens_that_somebody_types_are_text(release: tuple[str, Backbone]) -> None:
    _, backbone = release
    prompter, tokenizer = Prompter(backbone), backbone.tokenizer
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    text = f"What does {' '.join(TYPED)} mean?"
    for encode in (prompter.questions, prompter.text_prompts, prompter.answers, prompter.hints):
        plain, typed = encode(["What?", text])
        count = sum(token in special for token in plain)
        assert sum(token in special for token in typed) == count
        assert text in tokenizer.decode(typed)
        assert plain == encode(["What?"])[0]
        assert max(typed) < len(backbone.core.get_input_embeddings().weight)


@pytest.mark.parametrize(
    ("family", "key", "message"),
    [
        ("qwen2_5_vl", "video_token_id", "must write 12 visual tokens of id 999 .*, got 0;"),
        ("qwen3_vl", "video_token_id", "must write 12 visual tokens of id 999 .*, got 0;"),
        ("internvl", "image_token_id", "must have the visual token .*, got none of id 999;"),
        ("llava_onevision", "video_token_id", "must have the visual token .* of id 999;"),
        ("smolvlm", "image_token_id", "must have the visual token .* of id 999;"),
    ],
)
def test_a_tokenizer_of_another_release_is_refused(
    family: str, key: str, message: str, tmp_path: Path
) -> None:
    backbone = load(write_family(tmp_path, family))
    layout = backbone.layout_of(frames_for(backbone))
    setattr(backbone.config, key, 999)
    with pytest.raises(SetupError, match=message):
        Prompter(backbone).video_prompts([layout])


def test_features_of_another_length_are_refused(tmp_path: Path) -> None:
    backbone = load(write_family(tmp_path, "llava_onevision"))
    with torch.no_grad():
        features = backbone.encode_video(frames_for(backbone))
    batch = Prompter(backbone).collate([features], [[Example("What?", "this")]])
    ids, mask = batch.video_prompt.ids, batch.video_prompt.mask
    count = len(features.embeds)
    for change in (-1, 1):
        embeds = torch.zeros(count + change, backbone.dim)
        other = [type(features)(**(vars(features) | {"embeds": embeds}))]
        with pytest.raises(IncompatibleError, match=f"got {count} tokens and {count + change} vec"):
            backbone.prefill_videos(ids, mask, other)


IMAGES_ONLY = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in "
    "message['content'] %}{% if part['type'] == 'image' %}<image>{% elif part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
)


def test_training_and_asking_refuse_a_template_without_a_video(
    vl: Callable[..., Result], tmp_path: Path
) -> None:
    folder = write_family(tmp_path / "model", "internvl")
    make_video(tmp_path / "a.mp4", 12, 4)
    write_jsonl(tmp_path / "t.jsonl", [{"video": "a.mp4", "question": "What?", "answer": "cup"}])
    Path("r.yaml").write_text(
        recipe_text(
            folder,
            data="{type: triplets, path: t.jsonl}",
            video="{fps: 2, min_frames: 2, max_frames: 4, min_pixels: 1024, max_pixels: 2048}",
            training="{max_steps: 1, gradient_accumulation_steps: 1, checkpoint_every_steps: 1}",
        )
    )
    assert vl("train", "r.yaml", "--run-dir", "run").code == 0
    (folder / "chat_template.jinja").write_text(IMAGES_ONLY)
    for command in (
        ("plan", "r.yaml"),
        ("train", "r.yaml", "--run-dir", "blind"),
        ("ask", "a.mp4", "What?", "--run", "run"),
    ):
        result = vl(*command)
        assert result.code == 4
        assert "must write one <video> and then the question" in result.stderr
