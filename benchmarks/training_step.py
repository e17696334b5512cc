"""Time of a training step: full objective, plain fine-tuning and a naive version."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import torch
from transformers import AutoModelForImageTextToText

from benchmarks.measure import compare, table
from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.backbones.tiny import make_config, write_tiny_folder
from videolatent_cli.model.batch import Batch, Example, Prompter
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import LossWeights, answer_loss, bottleneck_probability
from videolatent_cli.recipe import parse_recipe
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Loss
from videolatent_cli.training.step import SelfForcing
from videolatent_cli.video.frames import FrameBatch


class Size(NamedTuple):
    """Size of a batch."""

    videos: int
    frames: int
    questions: int
    """Number of questions per video."""


SIZES = (Size(8, 32, 1), Size(16, 32, 1), Size(2, 32, 8), Size(2, 128, 8))
QUESTION = (
    "where did the object go that moved right after the object that moved right after the red "
    "square moved ? "
)
FULL = LossWeights(0.5, 0.1, 1.0)
PAIR = "latents, the paper's pair"
BOTTLENECK = "full objective, a step with the bottleneck"


def make_backbone(folder: Path) -> Backbone:
    """Return a random Qwen2.5-VL of 4 layers and width 256."""
    write_tiny_folder(folder)
    config = make_config()
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size = 256, 704
    text.num_attention_heads = text.num_key_value_heads = 8
    vision.out_hidden_size = 256
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    recipe = BackboneRecipe(model=str(folder), train="full")
    backbone = load_backbone(recipe)
    backbone.make_trainable(recipe)
    return backbone


def make_batch(backbone: Backbone, size: Size) -> Batch:
    """Return a batch of random frames of 64x64 pixels, about 8 positions per frame."""
    random = np.random.default_rng(0)
    prompter = Prompter(backbone)
    shape = (size.frames, 64, 64, 3)
    frames = [
        FrameBatch(random.integers(0, 256, shape, dtype=np.uint8), np.arange(size.frames) / 4)
        for _ in range(size.videos)
    ]
    with torch.no_grad():
        features = [backbone.encode_video(f) for f in frames]
    examples = [[Example(QUESTION, "red circle move up")] * size.questions for _ in features]
    return prompter.collate(features, examples)


def naive_loss(model: VideoLatent, batch: Batch) -> torch.Tensor:
    """Return the loss of a full objective that runs every branch from the start of the prompt.

    Losses other than cross-entropy are left out, since they cost little and the same in both
    versions.
    """
    backbone, injection = model.backbone, model.injection
    assert injection is not None
    rows = len(batch.video_index)
    first = torch.cat((injection.start, injection.slots)).expand(rows, -1, -1)
    rest = first
    for block in range(injection.num_blocks):
        question = model.prefill(batch)
        text = torch.cat((question.embeds, rest), 1)
        ones = torch.ones(rows, rest.shape[1], dtype=torch.bool)
        out = backbone.extend(text, question.state, torch.cat((question.mask, ones), 1))
        z, _ = injection(out.hidden[:, -injection.latents_per_block :], question.memory, block)
        rest = torch.cat((rest, z), 1)
    end = injection.end.expand(rows, 1, -1)
    answers = backbone.embed(batch.answer.ids[:, :-1])
    question = model.prefill(batch)
    text = torch.cat((question.embeds, rest, end, answers), 1)
    out = backbone.extend(text, question.state)
    logits = backbone.logits(out.hidden[:, -batch.answer.ids.shape[1] :])
    loss = answer_loss(logits, batch.answer.ids, batch.answer.mask)
    with torch.no_grad():
        question = model.prefill(batch)
        hint = backbone.embed(batch.teacher_hint.ids)
        text = torch.cat((question.embeds, hint, rest, end), 1)
        backbone.extend(text, question.state)
    blind = torch.cat(
        (backbone.embed(batch.question.ids), rest[:, first.shape[1] :], end, answers), 1
    )
    out = backbone.extend(blind, backbone.empty_state(rows))
    logits = backbone.logits(out.hidden[:, -batch.answer.ids.shape[1] :])
    return loss + answer_loss(logits, batch.answer.ids, batch.answer.mask)


def bottleneck_share(loss: Loss) -> float:
    """Return the share of training steps that apply the bottleneck."""
    full, final = loss.bottleneck_full_fraction, loss.bottleneck_final_probability
    return mean(bottleneck_probability(done / 1000, full, final) for done in range(1000))


def _step(module: SelfForcing, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """Return a function that does one forward, backward and optimizer step."""
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], 1e-5)

    def do() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return do


def run() -> str:
    """Measure and return the section."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        backbone = make_backbone(Path(folder))
    ours = parse_recipe("version: 1\ndata: {type: eventworld}\n", "ours")
    sft = parse_recipe("version: 1\ndata: {type: eventworld}\n", "sft", ["latent=null"])
    latent, plain = VideoLatent(backbone, ours.latent), VideoLatent(backbone, None)
    full, simple = SelfForcing(latent, ours), SelfForcing(plain, sft)
    tables = [_table(size, make_batch(backbone, size), simple, full) for size in SIZES]
    parameters = sum(p.numel() for p in backbone.language_model.parameters()) / 1e6
    return (
        f"## Training step\n\nLanguage model of {parameters:.1f} M parameters, cached features, "
        f"2 blocks of 4 latents, {torch.get_num_threads()} threads. "
        "Goal: the full objective takes at most 1.3 times as long as plain SFT. "
        "`python -m benchmarks training_step`\n\n" + "\n\n".join(tables)
    )


def _table(size: Size, batch: Batch, simple: SelfForcing, full: SelfForcing) -> str:
    """Measure one size of batch and return its table."""
    pair = LossWeights(0.5, 0.1, 0.0)
    # As after a first step, which only measures the statistics of the objectives.
    full.remember([full(batch, FULL).statistics])
    work = {
        "plain SFT": _step(simple, lambda: simple(batch, LossWeights()).total),
        "latents, cross-entropy only": _step(full, lambda: full(batch, LossWeights()).total),
        PAIR: _step(full, lambda: full(batch, pair).total),
        BOTTLENECK: _step(full, lambda: full(batch, FULL).total),
        "naive full objective": _step(full, lambda: naive_loss(full.model, batch)),
    }
    for do in work.values():
        do()
    costs = compare(work, 7)
    seconds = {name: cost.wall_seconds for name, cost in costs.items()}
    applied = bottleneck_share(full.loss)
    seconds[f"full objective, mean of a training ({applied:.2f} of its steps with bottleneck)"] = (
        applied * seconds[BOTTLENECK] + (1 - applied) * seconds[PAIR]
    )
    base = seconds["plain SFT"]
    rows = [[name, f"{1000 * s:.0f}", f"{s / base:.2f}"] for name, s in seconds.items()]
    positions, words = batch.video_prompt.mask.shape[1], batch.question.mask.shape[1]
    head = f"{size.videos} videos of {positions} positions, {size.questions} x {words} of question"
    return table([head, "wall ms", "over plain SFT"], rows)
