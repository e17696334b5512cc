"""Starter recipes, as written by `vl init`."""

_EVENTWORLD = """\
data:
  type: eventworld          # rendered videos; for your own, type: triplets and path: train.jsonl
  num_videos: 300
  questions_per_video: 8
  num_eval_videos: 100
"""
_TRIPLETS = """\
data:
  type: triplets
  path: {data}              # one JSON object per line: video, question, answer
  eval_path: null           # a file of triplets for evaluation; null: none
  media_root: null          # folder that contains the videos; null: the folder of `path`
  on_bad: fail              # stop at a video that cannot be read; skip: leave it out
"""
_TINY_BACKBONE = """\
video:
  fps: 4
  min_frames: 2
  max_frames: 32
  min_pixels: 4096          # the embedded backbone takes frames of 64 x 64 pixels
  max_pixels: 4096
backbone:
  model: tiny
  train: full               # all weights of the language model
"""
_MODEL_BACKBONE = """\
video:
  fps: 2                    # frames per second of video
  min_frames: 4
  max_frames: 16
  max_pixels: 100352        # per frame; 128 * 28 * 28
backbone:
  model: {backbone}
  train: lora               # or full: all weights of the language model
  attention: auto
"""
_TINY_TRAINING = """\
training:
  max_steps: 200
  videos_per_batch: 8
  triplets_per_video: 8
  gradient_accumulation_steps: 1
  learning_rate: 5.0e-4
  latent_learning_rate: 1.0e-3
  seed: 0
"""
_MODEL_TRAINING = """\
training:
  epochs: 1
  videos_per_batch: 1
  gradient_accumulation_steps: 64   # micro batches per optimizer step
  learning_rate: 1.0e-4
  latent_learning_rate: 5.0e-4
  seed: 0
"""
_LATENT = """\
latent:                     # null: plain fine-tuning without latents
  num_blocks: 2             # number of rollout steps
  latents_per_block: 4
  relook: frames            # attend to frame groups again; `vl ask` shows where
loss:
  alignment_weight: 0.5
  diversity_weight: 0.1
  bottleneck_weight: 1.0    # makes answers depend on the latents; 0: only the paper's objectives
"""
_CACHE = """\
cache:
  tier: features            # store the output of the vision tower: each video is encoded once
"""


def starter_recipe(backbone: str, data: str | None) -> str:
    """Return a commented recipe for a backbone.

    Args:
        backbone: `tiny`, or a folder or hub id of a model.
        data: Triplet file as the recipe names it; None: EventWorld data.
    """
    tiny = backbone == "tiny"
    parts = [
        "# Check it: vl plan FILE\n"
        "# Train with it: vl train FILE\n"
        "# Meaning of every field: vl schema --format md\n"
        "version: 1\n",
        _EVENTWORLD if data is None else _TRIPLETS.format(data=data),
        _TINY_BACKBONE if tiny else _MODEL_BACKBONE.format(backbone=backbone),
        _LATENT,
        _TINY_TRAINING if tiny else _MODEL_TRAINING,
        _CACHE,
    ]
    return "".join(parts)
