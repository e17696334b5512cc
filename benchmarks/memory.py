"""Peak memory that `vl plan` estimates, compared with that of `vl train`."""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from transformers import AutoModelForImageTextToText

from benchmarks.measure import table
from videolatent_cli.model.backbones.tiny import make_config, write_tiny_folder

STEPS = 4
RECIPE = """version: 1
data: {{type: eventworld, num_videos: 12, num_eval_videos: 1, questions_per_video: 8}}
video: {{fps: 4, max_frames: 32, min_pixels: {pixels}, max_pixels: {pixels}}}
backbone: {{model: '{model}', train: {train}}}
latent: {latent}
training:
  max_steps: {steps}
  videos_per_batch: {videos}
  triplets_per_video: {triplets}
  gradient_accumulation_steps: 1
  recompute_prefix: {recompute}
"""
LATENTS = "{num_blocks: 2, latents_per_block: 4}"
LONG = "larger, LoRA, 1 video of 2,048 visual tokens"
RECOMPUTED = "the same, its prefix recomputed"
SHAPES = {
    "embedded, 4 videos of 8 questions": ("tiny", 4096, "full", LATENTS, 4, 8),
    "the same without latents": ("tiny", 4096, "full", "null", 4, 8),
    "larger, 2 videos of 4 questions": ("larger", 16384, "full", LATENTS, 2, 4),
    "the same with LoRA": ("larger", 16384, "lora", LATENTS, 2, 4),
    "larger, LoRA, 6 videos of 1 question": ("larger", 16384, "lora", LATENTS, 6, 1),
    LONG: ("larger", 65536, "lora", LATENTS, 1, 1),
    RECOMPUTED: ("larger", 65536, "lora", LATENTS, 1, 1),
}


def write_larger(folder: Path) -> None:
    """Save a random Qwen2.5-VL of 8 layers of width 512."""
    write_tiny_folder(folder)
    config = make_config()
    text, vision = config.text_config, config.vision_config
    text.hidden_size, text.intermediate_size, text.num_hidden_layers = 512, 1536, 8
    text.num_attention_heads, text.num_key_value_heads = 16, 4
    text.layer_types = ["full_attention"] * 8
    vision.out_hidden_size = 512
    AutoModelForImageTextToText.from_config(config).save_pretrained(folder)


def _vl(folder: Path, *arguments: str) -> str:
    """Run a `vl` command in a folder and return its output."""
    command = [sys.executable, "-m", "videolatent_cli", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def measure(folder: Path, recipe: str) -> tuple[float, float, float]:
    """Return the estimated and the measured peak (GB), and the seconds of a step."""
    (folder / "r.yaml").write_text(recipe, encoding="utf-8")
    _vl(folder, "cache", "build", "r.yaml")  # encoding needs memory of its own
    plan = json.loads(_vl(folder, "plan", "r.yaml", "--json"))
    run = f"runs/{len(list((folder / 'runs').glob('*')))}"
    _vl(folder, "train", "r.yaml", "--run-dir", run)
    lines = (folder / run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    log = [json.loads(line) for line in lines]
    seconds = statistics.median(line["seconds"] for line in log)
    return plan["estimated_memory_bytes"] / 1e9, log[-1]["peak_memory_bytes"] / 1e9, seconds


def run() -> str:
    """Measure and return the section."""
    rows, peaks, steps = [], {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_larger(folder / "larger")
        for name, (model, pixels, train, latent, videos, triplets) in SHAPES.items():
            text = RECIPE.format(
                model=model if model == "tiny" else folder / model,
                pixels=pixels,
                train=train,
                latent=latent,
                videos=videos,
                triplets=triplets,
                steps=STEPS,
                recompute=str(name == RECOMPUTED).lower(),
            )
            estimated, measured, steps[name] = measure(folder, text)
            peaks[name] = measured
            ratio = f"{estimated / measured:.2f}"
            rows.append([name, f"{estimated:.2f}", f"{measured:.2f}", ratio])
    return (
        "## Memory\n\nPeak that `vl plan` estimates for the largest possible micro batch, compared "
        f"with the peak of a process that trains {STEPS} steps (GB, whole process). Goal: within "
        "15 %. `larger` is a random model of 8 layers of width 512, on videos of 128x128 pixels "
        "unless noted. `python -m benchmarks memory`\n\n"
        + table(["training", "estimated", "measured", "ratio"], rows)
        + f"\n\nHere `training.recompute_prefix` needs {peaks[RECOMPUTED] / peaks[LONG]:.2f} "
        f"times the memory and {steps[RECOMPUTED] / steps[LONG]:.2f} times the seconds per step."
    )
