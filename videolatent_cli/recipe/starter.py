"""The recipe that `vl init` writes."""

_EVENTWORLD = """\
data:
  type: eventworld          # rendered videos; for your own: type: triplets, path: train.jsonl
  num_videos: 300
  questions_per_video: 8
  num_eval_videos: 100
"""
_TRIPLETS = """\
data:
  type: triplets
  path: {data}              # one JSON object a line: video, question, answer
  eval_path: null           # triplets that are not trained on
  media_root: null          # videos lie below it; null: the folder of `path`
  on_bad: fail              # or skip: leave out videos that cannot be read
"""
_TINY = """\
video:
  fps: 4
  min_frames: 2
  max_frames: 32
  min_pixels: 4096          # the embedded backbone sees 64x64 pixels
  max_pixels: 4096
backbone:
  model: tiny
  train: full
"""
_MODEL = """\
video:
  fps: 2                    # frames a second of presentation time
  min_frames: 4
  max_frames: 16
  max_pixels: 100352        # 128 * 28 * 28 pixels a frame
backbone:
  model: {backbone}
  train: lora
  attention: auto
"""
_REST_TINY = """\
training:
  max_steps: 200
  videos_per_batch: 8
  triplets_per_video: 8
  gradient_accumulation_steps: 1
  learning_rate: 5.0e-4
  latent_learning_rate: 1.0e-3
  seed: 0
"""
_REST_MODEL = """\
training:
  epochs: 1
  videos_per_batch: 1
  gradient_accumulation_steps: 64
  learning_rate: 1.0e-4
  latent_learning_rate: 5.0e-4
  seed: 0
"""
_LATENT = """\
latent:                     # null is plain fine-tuning without latents
  num_blocks: 2             # rollout steps
  latents_per_block: 4
  relook: frames            # its attention is the evidence of an answer
loss:
  alignment_weight: 0.5
  diversity_weight: 0.1
  bottleneck_weight: 1.0    # 0 is the paper's pair of objectives
"""


def starter_recipe(backbone: str, data: str | None) -> str:
    """Return a commented recipe for a backbone and for triplets, or EventWorld without them."""
    tiny = backbone == "tiny"
    parts = [
        "# Check it with: vl plan FILE     Train it with: vl train FILE\n"
        "# Every field: vl schema --format md\n"
        "version: 1\n",
        _EVENTWORLD if data is None else _TRIPLETS.format(data=data),
        _TINY if tiny else _MODEL.format(backbone=backbone),
        _LATENT,
        _REST_TINY if tiny else _REST_MODEL,
        "cache:\n  tier: features\n",
    ]
    return "".join(parts)
