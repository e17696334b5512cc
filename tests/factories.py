"""Makers of real things for tests: videos, a very small backbone, triplets, recipes."""

import json
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForImageTextToText

from videolatent_cli.model.backbones.base import Backbone
from videolatent_cli.model.backbones.load import load_backbone
from videolatent_cli.model.backbones.tiny import make_config, write_tiny_folder
from videolatent_cli.model.batch import Batch, Example, Padded, Prompter
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.recipe import Recipe, parse_recipe
from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
from videolatent_cli.recipe.schema import Latent
from videolatent_cli.video.ffmpeg import ffmpeg_binary
from videolatent_cli.video.frames import FrameBatch
from videolatent_cli.video.sampling import SamplingSpec

BITS = 8
LATENT = Latent(num_blocks=2, latents_per_block=2, relook_heads=2)
SPEC = SamplingSpec(2.0, 4, 16, 4096, 128 * 64, "ffmpeg", 16, 2)
SHARED_VIDEOS = Path(__file__).parents[2] / "shared" / "videos"


def numbered_frame(index: int, width: int = 128, height: int = 64) -> np.ndarray:
    """A frame whose stripes spell its index in binary."""
    frame = np.full((height, width, 3), 40, np.uint8)
    stripe = width // BITS
    for bit in range(BITS):
        if index >> bit & 1:
            frame[:, bit * stripe : (bit + 1) * stripe] = 220
    return frame


def frame_number(frame: np.ndarray) -> int:
    """The index that a frame spells, whatever its size."""
    stripe = frame.shape[1] / BITS
    middle = frame[frame.shape[0] // 2].mean(-1)
    return sum(int(middle[round((bit + 0.5) * stripe)] > 130) << bit for bit in range(BITS))


def make_video(
    path: Path,
    num_frames: int = 30,
    fps: float = 10,
    size: tuple[int, int] = (128, 64),
    options: tuple[str, ...] = (),
    codec: str = "libx264",
    first: int = 0,
) -> Path:
    """A real video file of frames numbered from `first`; `options` are ffmpeg's for the output."""
    frames = np.stack([numbered_frame(first + i, *size) for i in range(num_frames)])
    command = [ffmpeg_binary(), "-nostdin", "-loglevel", "error", "-y", "-f", "rawvideo"]
    command += ["-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps), "-i", "pipe:0"]
    command += ["-c:v", codec, "-pix_fmt", "yuv420p", *options, f"file:{path}"]
    subprocess.run(command, input=frames.tobytes(), check=True, timeout=60)
    return path


def frame_batch(seed: int = 0, num_frames: int = 4) -> FrameBatch:
    """Random 64x64 frames, 4 a second."""
    data = np.random.default_rng(seed).integers(0, 256, (num_frames, 64, 64, 3), dtype=np.uint8)
    return FrameBatch(data, np.arange(num_frames) / 4)


def spec(**changes: object) -> SamplingSpec:
    """The sampling contract of tests with other values."""
    return replace(SPEC, **changes)


def write_small_backbone(folder: Path) -> Path:
    """A Qwen2.5-VL of about 50,000 random parameters, saved like any Hugging Face model."""
    write_tiny_folder(folder)
    config = make_config()
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 32, 64, 2
    text.num_attention_heads = text.num_key_value_heads = 2
    text.layer_types = text.layer_types[:2]
    text.rope_parameters["mrope_section"] = [2, 3, 3]
    vision.depth, vision.hidden_size, vision.intermediate_size, vision.num_heads = 1, 32, 64, 2
    vision.out_hidden_size, vision.fullatt_block_indexes = 32, [0]
    torch.manual_seed(0)
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    return folder


def small_backbone(folder: Path, *, train: str = "full", train_vision: bool = False) -> Backbone:
    """The small backbone, loaded."""
    recipe = BackboneRecipe(model=str(folder), train=train, train_vision=train_vision)
    backbone = load_backbone(recipe)
    torch.manual_seed(0)
    backbone.make_trainable(recipe)
    return backbone


def small_model(folder: Path, latent: Latent | None, *, train: str = "full") -> VideoLatent:
    """VideoLatent on the small backbone, in evaluation mode."""
    torch.manual_seed(1)
    return VideoLatent(small_backbone(folder, train=train), latent).eval()


QUESTIONS = (
    ("Which color moved first?", "red"),
    ("Where did the object go that moved right after the red circle moved?", "up"),
    ("How many objects are there at the end?", "3"),
    ("List the objects.", "red circle top left ; blue square middle center"),
)


def make_batch(model: VideoLatent, seeds: tuple[int, ...] = (0, 1)) -> Batch:
    """Two questions about each of some random videos."""
    prompter = Prompter(model.backbone)
    with torch.no_grad():
        features = [model.backbone.encode_video(frame_batch(seed)) for seed in seeds]
    examples = [
        [Example(*QUESTIONS[(2 * row + i) % len(QUESTIONS)], f"t{2 * row + i}") for i in range(2)]
        for row in range(len(seeds))
    ]
    return prompter.collate(features, examples)


def one_row(batch: Batch, row: int) -> Batch:
    """One triplet of a batch, without padding."""

    def cut(part: Padded, index: int) -> Padded:
        keep = part.mask[index]
        return Padded(part.ids[index : index + 1, keep], part.mask[index : index + 1, keep])

    video = int(batch.video_index[row])
    return Batch(
        video_prompt=cut(batch.video_prompt, video),
        videos=(batch.videos[video],),
        video_index=torch.tensor([0]),
        question=cut(batch.question, row),
        teacher_hint=cut(batch.teacher_hint, row),
        answer=cut(batch.answer, row),
        names=batch.names[row : row + 1],
    )


def recipe_text(backbone: Path | str, /, **sections: str) -> str:
    """A small recipe on EventWorld; sections replace whole sections by YAML text."""
    default = {
        "data": "{type: eventworld, num_videos: 6, num_eval_videos: 2, questions_per_video: 4}",
        "video": "{fps: 4, min_frames: 2, max_frames: 32, min_pixels: 4096, max_pixels: 4096}",
        "backbone": f"{{model: '{backbone}', train: full}}",
        "latent": "{num_blocks: 2, latents_per_block: 2, relook_heads: 2}",
        "loss": "{diversity_queue: 8}",
        "training": (
            "{max_steps: 4, videos_per_batch: 2, triplets_per_video: 3, "
            "gradient_accumulation_steps: 1, learning_rate: 1e-3, checkpoint_every_steps: 2}"
        ),
        "cache": "{tier: features, commit_videos: 2}",
    }
    parts = [f"{name}: {text}" for name, text in (default | sections).items()]
    return "\n".join(["version: 1", *parts]) + "\n"


def make_recipe(
    backbone: Path | str, overrides: tuple[str, ...] = (), /, **sections: str
) -> Recipe:
    """A validated small recipe."""
    return parse_recipe(recipe_text(backbone, **sections), "test.yaml", overrides)


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> Path:
    """A JSON Lines file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@cache
def manifest() -> dict[str, dict[str, object]]:
    """What is known of the shared videos, by file name below their folder."""
    text = (SHARED_VIDEOS / "manifest.json").read_text(encoding="utf-8")
    return {row["file"]: row for row in json.loads(text)["videos"]}
