"""Estimates for released models: memory and time, from two random layers of published shapes."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForImageTextToText

from benchmarks.measure import table
from tests.families import FAMILIES, make_tokenizer
from videolatent_cli.model.backbones.features import VideoFeatures
from videolatent_cli.model.batch import Batch, Example, Prompter
from videolatent_cli.model.load import build_model, sampling_of
from videolatent_cli.recipe import Recipe, load_recipe
from videolatent_cli.recipe.shipped import shipped_recipe
from videolatent_cli.training.estimate import step_bytes

if TYPE_CHECKING:
    from videolatent_cli.model.videolatent import VideoLatent

LAYERS = 2
RATE = 0.4 * 989e12
"""Assumed speed (operations per second): 40 % of the bfloat16 peak in an H100's data sheet.

A multiplication with its addition counts as two operations."""
QUESTION = "Which of the four people leaves the room first? (A) the cook (B) the child (C) no one"
QWEN_25 = {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16}
QWEN_25 |= {"patch_size": 14, "fullatt_block_indexes": [7, 15, 23, 31], "window_size": 112}
QWEN_3 = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
QWEN_3 |= {"patch_size": 16, "deepstack_visual_indexes": [8, 16, 24]}
QWEN_3 |= {"num_position_embeddings": 2304}
SIGLIP = {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16}
SIGLIP |= {"num_hidden_layers": 27, "image_size": 384, "patch_size": 14}
INTERN = {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16}
INTERN |= {"num_hidden_layers": 24, "image_size": [448, 448], "patch_size": [14, 14]}


TIED, LOOSE = {"tie_word_embeddings": True}, {"tie_word_embeddings": False}


@dataclass(frozen=True)
class Shape:
    """Published sizes of one model."""

    family: str
    width: int
    inner: int
    layers: int
    heads: int
    key_heads: int
    words: int
    vision: dict[str, Any]
    more: dict[str, Any]
    """Values of the top level of the configuration."""

    def config(self, layers: int, *, small_eyes: bool) -> Any:  # noqa: ANN401 - one per family
        """Return the configuration; `small_eyes` leaves one layer of the vision tower."""
        config = FAMILIES[self.family]()
        text, vision = config.text_config, config.vision_config
        size = {
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads,
            "head_dim": self.width // self.heads,
            "vocab_size": self.words,
            "layer_types": ["full_attention"] * layers,
        }
        eyes = dict(self.vision)
        if small_eyes:
            eyes |= {name: 1 for name in ("depth", "num_hidden_layers") if name in eyes}
            eyes |= {name: [0] for name in eyes if name.endswith("indexes")}
        if hasattr(vision, "out_hidden_size"):
            eyes["out_hidden_size"] = self.width
        for part, values in ((text, size), (vision, eyes), (config, self.more)):
            for name, value in values.items():
                setattr(part, name, value)
        if "mrope_section" in (getattr(text, "rope_parameters", None) or {}):
            half = self.width // self.heads // 2
            text.rope_parameters["mrope_section"] = [
                half - 2 * (half * 3 // 8),
                *[half * 3 // 8] * 2,
            ]
        return config


MODELS = {
    "qwen2_5_vl_3b": Shape("qwen2_5_vl", 2048, 11008, 36, 16, 2, 151936, QWEN_25, TIED),
    "qwen2_5_vl_7b": Shape("qwen2_5_vl", 3584, 18944, 28, 28, 4, 152064, QWEN_25, {}),
    "qwen3_vl_8b": Shape("qwen3_vl", 4096, 12288, 36, 32, 8, 151936, QWEN_3, {}),
    "internvl3_8b": Shape("internvl", 3584, 18944, 28, 28, 4, 151674, INTERN, LOOSE),
    "llava_onevision_7b": Shape("llava_onevision", 3584, 18944, 28, 28, 4, 152128, SIGLIP, {}),
    "smolvlm2_2b": Shape("smolvlm", 2048, 8192, 24, 32, 32, 49280, SIGLIP, {"scale_factor": 3}),
}


def weights(shape: Shape) -> tuple[int, int]:
    """Return the parameters of the whole model and of its decoder; no weights are allocated."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(
            shape.config(shape.layers, small_eyes=False)
        )
    inner = model.model
    decoder = inner.text_model if shape.family == "smolvlm" else inner.language_model
    return model.num_parameters(), sum(p.numel() for p in decoder.parameters())


def shallow_model(shape: Shape, name: str, folder: Path) -> tuple[Recipe, VideoLatent]:
    """Return a recipe with a random model of two decoder layers."""
    shape.config(LAYERS, small_eyes=True).save_pretrained(folder)
    make_tokenizer(shape.family).save_pretrained(folder)
    colors = '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    (folder / "video_preprocessor_config.json").write_text(colors, encoding="utf-8")
    recipe = load_recipe(shipped_recipe(name))
    random = {"model": str(folder), "weights": "random", "dtype": "bfloat16"}
    recipe = recipe.model_copy(update={"backbone": recipe.backbone.model_copy(update=random)})
    return recipe, build_model(recipe)


def batch_of(recipe: Recipe, model: VideoLatent, groups: int) -> Batch:
    """Return a micro batch of the recipe, with features of zeros for `groups` frame groups."""
    backbone = model.backbone
    frames = groups * backbone.geometry.frames_per_group
    size = sampling_of(recipe, model).frame_size(1280, 720)
    layout = backbone.layout(torch.arange(frames).double().numpy() / recipe.video.fps, *size)
    tokens = backbone.num_visual_tokens(layout.grid)
    embeds = torch.zeros(tokens, backbone.dim, dtype=backbone.dtype)
    deep = torch.stack([embeds] * 3) if backbone.config.model_type == "qwen3_vl" else None
    video = VideoFeatures(**vars(layout), embeds=embeds, deep=deep)
    count = recipe.training.videos_per_batch
    examples = [[Example(QUESTION, "(A)")] for _ in range(count)]
    return Prompter(backbone).collate([video] * count, examples)


def measure(name: str, shape: Shape) -> list[str]:
    """Return the row of one model."""
    with tempfile.TemporaryDirectory() as folder:
        recipe, model = shallow_model(shape, name, Path(folder))
    adapters = [p for n, p in model.backbone.named_parameters() if "lora_" in n]
    # Gradients and both moments of the adapters in the layers that are left out.
    missing = 3 * sum(p.nbytes for p in adapters) * (shape.layers - LAYERS) // LAYERS
    # The estimate extrapolates from two layers to the number that the configuration names.
    model.backbone.config.get_text_config().num_hidden_layers = shape.layers
    groups = model.backbone.geometry.groups(recipe.video.max_frames)
    step = missing + step_bytes(model, recipe, lambda g: batch_of(recipe, model, g), groups)
    batch = batch_of(recipe, model, groups)
    parameters, decoder = weights(shape)
    # Student, teacher and bottleneck: three passes over question, latents and answer.
    text = 3 * (batch.question.ids.shape[1] + 16)
    positions = len(batch.names) * (batch.video_prompt.ids.shape[1] + text)
    micro = recipe.training.gradient_accumulation_steps
    return [
        name,
        f"{parameters / 1e9:.2f}",
        str(batch.video_prompt.ids.shape[1]),
        str(len(batch.names)),
        f"{2 * parameters / 1e9:.1f}",
        f"{step / 1e9:.1f}",
        f"**{(2 * parameters + step) / 1e9:.0f}**",
        f"{6 * decoder * positions * micro / RATE:.1f}",
    ]


def run() -> str:
    """Measure and return the section."""
    return (
        "## Released models\n\n**Estimates:** neither weights nor a GPU were available. Memory "
        "(GB) follows the rule of `vl plan`, in bfloat16 on a CPU. It is the sum of the weights "
        "and of what a training step allocates, extrapolated from two random layers of published "
        "shapes. The input is 16 frames of a 16:9 video, as cached features of zeros, and a "
        "question of about 100 tokens. Time is arithmetic: six operations per decoder weight and "
        "position, at 40 % of an H100's 989 TFLOP/s. `python -m benchmarks released`\n\n"
        + table(
            [
                "recipe",
                "parameters, 10^9",
                "positions before the question",
                "videos per micro batch",
                "weights",
                "step",
                "total",
                "s per step of 64 videos",
            ],
            [measure(name, shape) for name, shape in MODELS.items()],
        )
    )
