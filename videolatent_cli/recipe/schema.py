"""The other sections of a recipe: their fields, bounds and defaults."""

from typing import Literal, Self

from pydantic import Field, model_validator

from videolatent_cli.recipe.data_schema import Section


class Video(Section):
    """Frames that the model sees of each video: the sampling contract of the run."""

    fps: float = Field(2.0, gt=0, le=120)
    """Sampling rate (frames per second of presentation time). It applies as long as the number of
    frames stays between `min_frames` and `max_frames`. Source: Video-R1's setting, 2."""
    min_frames: int = Field(4, ge=1)
    """Smallest number of frames per video, however short it is."""
    max_frames: int = Field(16, ge=1, le=4096)
    """Largest number of frames per video; in longer videos the frames are further apart. Source:
    Video-R1's setting, 16."""
    min_pixels: int = Field(4 * 28 * 28, ge=1)
    """Smallest number of pixels of a frame after resizing; smaller frames are enlarged. Backbones
    with one fixed frame size ignore it."""
    max_pixels: int = Field(128 * 28 * 28, ge=1)
    """Largest number of pixels of a frame after resizing; larger frames are reduced, with the
    aspect ratio kept. Backbones with one fixed frame size ignore it. Source: Video-R1's setting,
    128 * 28 * 28."""
    resize: Literal["ffmpeg", "torch"] = "ffmpeg"
    """Program that resizes the frames. `torch` equals the models' own processors bit by bit.
    `ffmpeg`, the default, differs from them by at most about 5 of 255 levels and moves far fewer
    bytes."""
    timeout_seconds: float = Field(300.0, gt=0)
    """Longest time that decoding one video may take (s). A video that takes longer counts as
    unreadable."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min_frames > self.max_frames:
            msg = f"min_frames {self.min_frames} is above max_frames {self.max_frames}"
            raise ValueError(msg)
        if self.min_pixels > self.max_pixels:
            msg = f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}"
            raise ValueError(msg)
        return self


class Lora(Section):
    """Low-rank adapters on the projections of the language model, never of the vision tower."""

    rank: int = Field(64, ge=1)
    """Rank of the adapters."""
    alpha: float = Field(128.0, gt=0)
    """Scale of the adapters: their output is multiplied by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropout before the adapters; 0: no dropout."""


class Backbone(Section):
    """The pretrained multimodal language model that the latents are injected into."""

    model: str = Field("tiny", min_length=1)
    """Backbone model: `tiny` is the embedded one; any other value is a folder or hub id of a
    Hugging Face video model."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """Initial weights. `random` draws them from `training.seed` and needs `train: full`; the
    embedded backbone was made this way."""
    train: Literal["lora", "full", "frozen"] = "lora"
    """Part of the language model that is trained: LoRA adapters, all weights, or nothing. The
    latent module is always trained."""
    lora: Lora = Lora()
    """LoRA settings; used with `train: lora`."""
    train_vision: bool = False
    """Whether the vision tower is trained too. Its features then change in every step, so
    `cache.tier` cannot be `features`."""
    attention: Literal[
        "auto", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4"
    ] = "auto"
    """Attention kernel. `auto` takes the newest FlashAttention that is installed and that the
    device supports, else `sdpa`."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Data type of weights and activations. `auto` is bfloat16 on a GPU and float32 on a CPU."""
    quantization: Literal["none", "nf4"] = "none"
    """Quantization of the decoder. `nf4` keeps its weights in 4 bits (QLoRA), which takes little
    more than a quarter of the memory of bfloat16. It needs `videolatent-cli[nf4]` and `train:
    lora` or `frozen`."""


class Latent(Section):
    """Latent injection module and its rollout; `latent: null` is plain fine-tuning."""

    num_blocks: int = Field(2, ge=0, le=16)
    """Number B of rollout steps; each makes one block of latents. 0: no latents, only the learned
    slots (pause tokens). The default comes from EventWorld: 2 blocks did better than 1, and 3 or
    4 were no clear gain."""
    latents_per_block: int = Field(4, ge=0, le=64)
    """Number b of latents per block, all made in one rollout step. With `num_blocks: 0` it is the
    number of slots, and 0 then leaves only the two markers."""
    relook: Literal["none", "frames", "tokens"] = "frames"
    """Part of the video that the latents attend to again: nothing, one mean vector per frame
    group, or all visual tokens. `vl ask` shows where
    this attention is highest; that is a hint, not proof."""
    relook_heads: int = Field(4, ge=1)
    """Number of attention heads of the re-look; must divide the hidden size of the backbone."""
    positions: Literal["shared", "own"] = "shared"
    """Positions of markers, slots and latents. `shared`: all have the position of the prompt's
    last token, so that the answer keeps its distance to question and video. `own`: each has a
    position of its own. The default is `shared`, since it changes an untrained model's answers
    least."""
    rollout_gradient: Literal["full", "detach_blocks"] = "full"
    """Gradient through the rollout: `full` passes through all blocks; `detach_blocks` stops at
    the hidden states that each block is made from."""

    @model_validator(mode="after")
    def _blocks_need_latents(self) -> Self:
        if self.num_blocks and not self.latents_per_block:
            msg = f"num_blocks is {self.num_blocks} but latents_per_block is 0; set both to 0"
            raise ValueError(msg)
        return self

    @property
    def num_latents(self) -> int:
        """Number K of latents per triplet, over all blocks."""
        return self.num_blocks * self.latents_per_block

    @property
    def num_positions(self) -> int:
        """Number of markers, slots and latents per triplet."""
        return 2 + self.latents_per_block + self.num_latents


class Loss(Section):
    """Weights and schedules of the losses; the cross-entropy of the answer has weight 1."""

    alignment_weight: float = Field(0.5, ge=0)
    """Weight of the alignment loss, which compares the model's states at the latents with those
    of the hindsight teacher. 0: the teacher is never run."""
    alignment_warmup_fraction: float = Field(0.1, ge=0, le=1)
    """Fraction of the optimizer steps, from 0 to 1, over which the alignment weight rises from 0.
    0: full weight at once. The first step with a teacher only measures its states."""
    alignment_depths: list[float] = Field([0.5, 0.75, 1.0], min_length=1)
    """Depths at which student and teacher are compared, as fractions of the number of layers; 1
    is the last layer."""
    target_momentum: float = Field(0.99, ge=0, lt=1)
    """Momentum, per optimizer step, of the running means and deviations that standardise teacher
    states and centre latents."""
    teacher: Literal["current", "base", "ema"] = "current"
    """Weights of the hindsight teacher: `current` are the model's own, `base` those before
    training, `ema` a moving average. The default is `current`: it costs least, and the others did
    no better on EventWorld."""
    teacher_ema_decay: float = Field(0.999, ge=0, lt=1)
    """Decay per optimizer step of the moving average; used with `teacher: ema`."""
    diversity_weight: float = Field(0.1, ge=0)
    """Weight of the diversity loss, which keeps latents different, within a triplet and between
    triplets. 0 turns it off."""
    diversity_similarity: float = Field(0.2, ge=-1, le=1)
    """Two latents of one triplet are penalised only above this cosine similarity (after
    centring)."""
    diversity_deviation: float = Field(0.5, ge=0)
    """A channel of a latent is penalised only below this standard deviation over triplets,
    relative to the RMS of all latents. 0: never."""
    diversity_queue: int = Field(256, ge=0)
    """Number of triplets of earlier steps whose latents give the deviation. The loss of a triplet
    then does not depend on the size of the micro batch. 0: the micro batch itself, and it does."""
    bottleneck_weight: float = Field(1.0, ge=0)
    """Weight of the bottleneck loss: the cross-entropy of the answer when the model sees the
    latents but not the video. This loss is ours; 0 leaves the paper's pair of objectives. On
    EventWorld the model ignores its latents without it."""
    bottleneck_view: Literal["latents", "question"] = "question"
    """Input of the bottleneck answer: the `latents` alone, or also the `question`, read without
    the video. The default is `question`: with the latents alone, some runs on EventWorld did not
    learn the questions about shapes."""
    bottleneck_full_fraction: float = Field(0.3, ge=0, le=1)
    """Fraction of the optimizer steps, from 0 to 1 and counted from the first, in which the
    bottleneck loss is always applied."""
    bottleneck_final_probability: float = Field(0.25, ge=0, le=1)
    """Probability of applying the bottleneck loss in the last step. After
    `bottleneck_full_fraction` the probability falls from 1 to this value along a cosine."""


class Training(Section):
    """Optimisation settings: length, batches, optimizer, memory and checkpoints."""

    max_steps: int | None = Field(None, ge=1)
    """Number of optimizer steps; null: `epochs` passes over the data."""
    epochs: float = Field(1.0, gt=0)
    """Number of passes over the data; used when `max_steps` is null."""
    videos_per_batch: int = Field(1, ge=1)
    """Number of videos per micro batch. The visual prefix of each video is computed once and
    shared by its triplets."""
    tokens_per_batch: int | None = Field(None, ge=1)
    """Largest number of positions per micro batch, instead of `videos_per_batch`. Each micro
    batch takes as many videos of similar length as fit, so that hardly anything is padding. Every
    triplet counts the same. null: `videos_per_batch` applies."""
    triplets_per_video: int = Field(1, ge=1)
    """Largest number of triplets that share the prefix of one video. A video with more triplets is
    used in several micro batches."""
    gradient_accumulation_steps: int = Field(64, ge=1)
    """Number of micro batches per optimizer step, over all processes; it must be a multiple of
    their number. The default gives 64 triplets per step. On EventWorld, latents were learned with
    32 triplets per step but not with 16."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """Optimizer. `muon` trains the matrices of the layers by orthogonalised momentum and the rest
    by AdamW; it needs about half the steps when a model is trained from random weights."""
    muon_learning_rate: float = Field(4e-3, gt=0)
    """Peak learning rate of the matrices that Muon trains; used with `optimizer: muon`."""
    learning_rate: float = Field(1e-4, gt=0)
    """Peak learning rate of the trained part of the backbone, without the matrices that Muon
    trains."""
    latent_learning_rate: float = Field(5e-4, gt=0)
    """Peak learning rate of the injection module, slots, markers and predictors. The default is
    higher than `learning_rate`, since these parts start untrained."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled weight decay. It applies to matrices only, not to gains, biases, markers and
    scalars. 0: none."""
    warmup_fraction: float = Field(0.03, ge=0, lt=1)
    """Fraction of the optimizer steps, from 0 to 1, over which the learning rate rises from 0.
    0: no warm-up."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Course of the learning rate after the warm-up: it falls to 0 along a cosine or a straight
    line, or stays constant."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Largest gradient norm; larger gradients are scaled down to it."""
    recompute_prefix: bool = False
    """Whether the backward pass computes the prompt up to the question again, a few hundred
    positions at a time, instead of keeping its activations. This saves memory with long videos
    and costs one more forward pass over the prompt."""
    shard_weights: bool = False
    """Whether the processes also share out weights and gradients of the backbone (FSDP2), and not
    only the optimizer's state. For models that do not fit one GPU: the same training, slower. It
    needs `optimizer: adamw`, `loss.teacher: current` and `backbone.quantization: none`."""
    checkpoint_every_steps: int = Field(200, ge=1)
    """Number of optimizer steps between checkpoints. A killed run loses at most this many."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of the initial weights, the data order and the steps with the bottleneck loss."""


class Cache(Section):
    """Cache of decoded or encoded videos, so that each video is processed only once."""

    tier: Literal["features", "frames", "none"] = "features"
    """Content of the cache. `features`: the output of the vision tower. `frames`: the resized
    frames, which are smaller for some families (Qwen3-VL) and also work when the vision tower is
    trained. `none`: nothing; each use of a video decodes it again."""
    commit_videos: int = Field(32, ge=1)
    """Number of videos per commit. A killed process loses at most this many."""
