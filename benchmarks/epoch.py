"""Time of an epoch from cached features, from files and by a peer; several questions at once."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from benchmarks.measure import compare, table
from videolatent_cli.data.triplets import question_text
from videolatent_cli.model.backbones.pixels import patchify
from videolatent_cli.model.batch import Batch, Example, Prompter
from videolatent_cli.model.generate import generate
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.prepare import make_feed, prepare
from videolatent_cli.recipe import Recipe, parse_recipe
from videolatent_cli.training.loop import Feed, train_steps
from videolatent_cli.training.optimizer import make_optimizer, make_schedule
from videolatent_cli.training.step import SelfForcing
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.frames import FrameBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from videolatent_cli.data.triplets import Triplet
    from videolatent_cli.training.feed import TripletFeed

VIDEOS, PER_BATCH, QUESTIONS = 32, 4, 10
STEPS = VIDEOS // PER_BATCH
RECIPE = """
version: 1
data: {type: triplets, path: triplets.jsonl}
video: {fps: 4, min_frames: 2, max_frames: 32, min_pixels: 4096, max_pixels: 4096}
backbone: {train: full}
latent: null
training: {epochs: 1, videos_per_batch: 4, gradient_accumulation_steps: 1}
"""


def make_files(folder: Path) -> None:
    """Write H.264 clips of 10 s, 640x360 at 30 frames per second, with one question per clip."""
    lines = []
    for index in range(VIDEOS):
        source = f"testsrc2=size=640x360:rate=30:duration=10,hue=h={index * 20},noise=alls=8:allf=t"
        command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi"]
        command += ["-i", source, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p"]
        subprocess.run([*command, str(folder / f"{index}.mp4")], check=True)
        asked = {"question": "which color moved first ?", "answer": "red"}
        lines.append(json.dumps({"id": str(index), "video": f"{index}.mp4", **asked}))
    (folder / "triplets.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass
class Same:
    """Feed that always returns the same batch, so that no data is read."""

    only: Batch

    def batch(self, index: int) -> Batch:
        """Return the batch."""
        del index
        return self.only


class Epoch:
    """Model and optimizer under our training loop; every call of `run` trains one more epoch."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.model = build_model(recipe)
        self.recipe = recipe
        self.feed: TripletFeed = make_feed(recipe, self.model, folder, folder)
        self.module = SelfForcing(self.model, recipe)
        self.optimizer = make_optimizer(self.module, recipe.training)

    def run(self, feed: Feed) -> None:
        """Train one epoch on a feed."""
        schedule = make_schedule(self.recipe.training, STEPS)
        training = self.recipe.training
        list(
            train_steps(
                self.module,
                self.optimizer,
                schedule,
                feed,
                training,
                first_step=0,
                total_steps=STEPS,
            )
        )


class Items(Dataset[dict[str, Any]]):
    """Data set of triplets for a Trainer."""

    def __init__(self, triplets: list[Triplet]) -> None:
        self.triplets = triplets

    def __len__(self) -> int:
        """Return the number of triplets."""
        return len(self.triplets)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one triplet as columns."""
        return {"triplet": self.triplets[index]}


class Collator:
    """Collator in the usual way: decode with PyAV, make patches, tokenize.

    The patches equal those of the transformers processor bit by bit. The processor itself would
    need torchvision.
    """

    def __init__(self, epoch: Epoch, folder: Path) -> None:
        self.backbone = epoch.model.backbone
        self.prompter = Prompter(self.backbone)
        self.sampling = prepare(epoch.recipe, epoch.model, folder, folder)[0].source.sampling
        self.folder = folder

    def frames(self, path: Path) -> FrameBatch:
        """Decode the whole clip and return the frames of the sampling contract."""
        kept: list[np.ndarray] = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            size = self.sampling.frame_size(stream.width, stream.height)
            times = self.sampling.times(float(stream.duration * stream.time_base))
            for frame in container.decode(stream):
                if frame.time is not None and frame.time + 1 / 30 > times[len(kept)]:
                    picture = frame.reformat(*size, format="rgb24", interpolation="BICUBIC")
                    kept.append(picture.to_ndarray())
                    if len(kept) == len(times):
                        break
        return FrameBatch(np.stack(kept), np.asarray(times))

    def __call__(self, items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Return the inputs of the forward method of the transformers model."""
        rows, labels, pixels, grids, seconds = [], [], [], [], []
        for item in items:
            triplet: Triplet = item["triplet"]
            frames = self.frames(self.folder / triplet.video)
            layout = self.backbone.layout_of(frames)
            prompt = self.prompter.video_prompts([layout])[0]
            prompt += self.prompter.questions([question_text(triplet)])[0]
            answer = self.prompter.answers([triplet.answer])[0]
            rows.append(torch.tensor(prompt + answer))
            labels.append(torch.tensor([-100] * len(prompt) + answer))
            pixels.append(patchify(frames, self.backbone.geometry, self.backbone.colors))
            grids.append(layout.grid)
            seconds.append(layout.seconds_per_group)
        ids = pad_sequence(rows, batch_first=True)
        return {
            "input_ids": ids,
            "attention_mask": pad_sequence([torch.ones_like(r) for r in rows], batch_first=True),
            "labels": pad_sequence(labels, batch_first=True, padding_value=-100),
            "mm_token_type_ids": (ids == self.backbone.visual_token_id).int() * 2,
            "pixel_values_videos": torch.cat(pixels),
            "video_grid_thw": torch.tensor(grids),
            "second_per_grid_ts": torch.tensor(seconds),
        }


def peer(epoch: Epoch, folder: Path) -> Trainer:
    """Return a Hugging Face Trainer of the same model, data and batch size."""
    arguments = TrainingArguments(
        output_dir=str(folder / "trainer"),
        num_train_epochs=1,
        per_device_train_batch_size=PER_BATCH,
        use_cpu=True,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    items = Items(prepare(epoch.recipe, epoch.model, folder, folder)[0].dataset.splits["train"])
    return Trainer(
        epoch.model.backbone.model,
        arguments,
        data_collator=Collator(epoch, folder),
        train_dataset=items,
    )


def answering(epoch: Epoch) -> dict[str, Callable[[], object]]:
    """Return calls that answer one and ten questions about a video with known features."""
    prompter = Prompter(epoch.model.backbone)
    features = list(epoch.feed.batch(0).videos[:1])
    one = [Example("which color moved first ?", "")]
    batches = [prompter.collate(features, [one * count]) for count in (1, QUESTIONS)]
    return {
        name: lambda b=b: generate(epoch.model, b, prompter.end_of_turn, max_new_tokens=4)
        for name, b in zip(("one", "ten"), batches, strict=True)
    }


def run() -> str:
    """Measure and return the section."""
    cores = os.cpu_count() or 1
    torch.set_num_threads(max(1, cores - 1))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder)
        cached, live = (
            Epoch(parse_recipe(RECIPE, "benchmark", [f"cache.tier={tier}"]), folder)
            for tier in ("features", "none")
        )
        same = Same(cached.feed.batch(0))
        trainer = peer(live, folder)
        work: dict[str, Callable[[], object]] = {
            "no data at all (one batch again and again)": lambda: cached.run(same),
            "cached features": lambda: cached.run(cached.feed),
            "decode and encode each time": lambda: live.run(live.feed),
            "Trainer, decode and encode in the collator": trainer.train,
        }
        for do in work.values():
            do()
        costs = compare(work, 3)
        latents = Epoch(parse_recipe(RECIPE.replace("latent: null", ""), "benchmark", []), folder)
        asked = compare(answering(latents), 15)
    base = costs["cached features"].wall_seconds
    rows = [
        [what, f"{cost.wall_seconds:.2f}", f"{cost.wall_seconds / base:.2f}"]
        for what, cost in costs.items()
    ]
    ratio = asked["ten"].wall_seconds / asked["one"].wall_seconds
    return (
        f"## Epoch\n\nPlain fine-tuning of the embedded backbone on {VIDEOS} clips (10 s, 640x360, "
        f"30 frames per second; 32 frames of each are used), {PER_BATCH} clips per step, one "
        f"question per clip, {torch.get_num_threads()} of {cores} cores for the model. An "
        "epoch from cached features should be at least 3 times as fast as the last two rows. It "
        "should be at most 5 % slower than without data. `python -m benchmarks epoch`\n\n"
        + table(["epoch", "wall s", "over cached"], rows)
        + f"\n\nAnswering {QUESTIONS} questions about one video together takes {ratio:.2f} times "
        f"as long as answering one ({1000 * asked['one'].wall_seconds:.0f} ms; goal: at most 2.5)."
    )
