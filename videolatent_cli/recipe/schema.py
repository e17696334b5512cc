"""The sections of a recipe: their fields, bounds and defaults."""

from typing import Literal, Self

from pydantic import Field, model_validator

from videolatent_cli.recipe.data_schema import Section


class Video(Section):
    """Which frames of a video the model sees: the sampling contract of the run."""

    fps: float = Field(2.0, gt=0, le=120)
    """Frames per second of presentation time. Source: Video-R1's setting, 2."""
    min_frames: int = Field(4, ge=1)
    """Fewest frames, however short the video."""
    max_frames: int = Field(16, ge=1, le=4096)
    """Most frames, however long the video. Source: Video-R1's setting, 16."""
    min_pixels: int = Field(4 * 28 * 28, ge=1)
    """Fewest pixels of a frame after resizing (px)."""
    max_pixels: int = Field(128 * 28 * 28, ge=1)
    """Most pixels of a frame after resizing (px). Source: Video-R1's setting, 128 * 28 * 28."""
    resize: Literal["ffmpeg", "torch"] = "ffmpeg"
    """Who resizes: `torch` equals the models' own processors bit by bit, `ffmpeg` differs by at
    most about 5 of 255 levels and moves far fewer bytes."""
    timeout_seconds: float = Field(300.0, gt=0)
    """Longest time that decoding one video may take (s)."""

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
    """Scale of the adapters; they are multiplied by alpha / rank."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout before the adapters."""


class Backbone(Section):
    """The pretrained multimodal language model that the latents are injected into."""

    model: str = Field("tiny", min_length=1)
    """`tiny` is the embedded model; otherwise a folder or hub id of a Hugging Face video model."""
    weights: Literal["pretrained", "random"] = "pretrained"
    """`random` starts from the seed: how the embedded backbone itself is made."""
    train: Literal["lora", "full", "frozen"] = "lora"
    """Which part of the language model learns; the latent module always does."""
    lora: Lora = Lora()
    """Used with `train: lora`."""
    train_vision: bool = False
    """Whether the vision tower learns too; its features can then not be cached."""
    attention: Literal[
        "auto", "sdpa", "flash_attention_2", "flash_attention_3", "flash_attention_4"
    ] = "auto"
    """Attention kernel; `auto` takes the best that is installed and fits the device."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type of weights and activations; `auto` is bfloat16 on a GPU and float32 elsewhere."""
    quantization: Literal["none", "nf4"] = "none"
    """`nf4` keeps the decoder in 4 bits (QLoRA), little more than a quarter of bfloat16; needs
    videolatent-cli[nf4]."""


class Latent(Section):
    """The latent injection module and its rollout; `latent: null` is plain fine-tuning."""

    num_blocks: int = Field(2, ge=0, le=16)
    """B, rollout steps. 0 keeps the learned slots only (pause tokens)."""
    latents_per_block: int = Field(4, ge=0, le=64)
    """b, latents made in one step. With `num_blocks: 0`, 0 keeps the two markers only."""
    relook: Literal["none", "frames", "tokens"] = "frames"
    """What the latents look at again: nothing, one mean vector a frame group, or all visual
    tokens. The attention over frames is the evidence of `vl ask`."""
    relook_heads: int = Field(4, ge=1)
    """Attention heads of the re-look."""
    positions: Literal["shared", "own"] = "shared"
    """Where markers, slots and latents stand: all at the position of the prompt's last token, so
    that the answer keeps its distance to question and video, or each at one of its own."""
    rollout_gradient: Literal["full", "detach_blocks"] = "full"
    """Whether the gradient flows through the whole rollout or stops between blocks."""

    @model_validator(mode="after")
    def _blocks_need_latents(self) -> Self:
        if self.num_blocks and not self.latents_per_block:
            msg = f"num_blocks is {self.num_blocks} but latents_per_block is 0; set both to 0"
            raise ValueError(msg)
        return self

    @property
    def num_latents(self) -> int:
        """K, all latents of a triplet."""
        return self.num_blocks * self.latents_per_block

    @property
    def num_positions(self) -> int:
        """Markers, slots and latents of a triplet."""
        return 2 + self.latents_per_block + self.num_latents


class Loss(Section):
    """Weights and schedules of latent self-forcing; cross-entropy has weight 1."""

    alignment_weight: float = Field(0.5, ge=0)
    """Weight of the latent alignment with the hindsight teacher; 0 turns the teacher off."""
    alignment_warmup_fraction: float = Field(0.1, ge=0, le=1)
    """Fraction of the steps over which the alignment weight rises from 0."""
    alignment_depths: list[float] = Field([0.5, 0.75, 1.0], min_length=1)
    """Depths (fractions of all layers) at which student and teacher are compared."""
    target_momentum: float = Field(0.99, ge=0, lt=1)
    """Momentum of the running mean and deviation that standardise teacher states and latents."""
    teacher: Literal["current", "base", "ema"] = "current"
    """Weights of the hindsight teacher: the model's own, those before training, or an average."""
    teacher_ema_decay: float = Field(0.999, ge=0, lt=1)
    """Decay of the `ema` teacher per step."""
    diversity_weight: float = Field(0.1, ge=0)
    """Weight of the latent diversity, within a triplet and between triplets."""
    diversity_similarity: float = Field(0.2, ge=-1, le=1)
    """Centred cosine of two latents of a triplet up to which nothing is lost."""
    diversity_deviation: float = Field(0.5, ge=0)
    """Deviation over triplets, relative to the latents' scale, above which nothing is lost."""
    diversity_queue: int = Field(256, ge=0)
    """Latents of earlier triplets that count for the deviation."""
    bottleneck_weight: float = Field(1.0, ge=0)
    """Weight of answering without the video, from the latents (ours; 0 is the paper's pair)."""
    bottleneck_view: Literal["latents", "question"] = "question"
    """What that answer sees: the latents alone, or the question, read without the video, too."""
    bottleneck_full_fraction: float = Field(0.3, ge=0, le=1)
    """Fraction of the steps in which the bottleneck is always applied."""
    bottleneck_final_probability: float = Field(0.25, ge=0, le=1)
    """Probability of applying it at the end; reached by a cosine."""


class Training(Section):
    """Optimisation."""

    max_steps: int | None = Field(None, ge=1)
    """Optimizer steps; null: `epochs` passes over the data."""
    epochs: float = Field(1.0, gt=0)
    """Passes over the data where `max_steps` is null."""
    videos_per_batch: int = Field(1, ge=1)
    """Videos of a micro batch; their visual prefix is computed once each."""
    tokens_per_batch: int | None = Field(None, ge=1)
    """Most positions of a micro batch, in place of `videos_per_batch`: videos of like length meet,
    as many as fit, so that hardly anything is padding; every triplet counts the same."""
    triplets_per_video: int = Field(1, ge=1)
    """Most triplets that share one video's prefix in a micro batch."""
    gradient_accumulation_steps: int = Field(64, ge=1)
    """Micro batches of one optimizer step."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """`muon` trains the matrices of layers by orthogonalised momentum and the rest by AdamW: about
    half the steps where a model is trained from random weights."""
    muon_learning_rate: float = Field(4e-3, gt=0)
    """Peak learning rate of what Muon trains."""
    learning_rate: float = Field(1e-4, gt=0)
    """Peak learning rate of the backbone's trained part."""
    latent_learning_rate: float = Field(5e-4, gt=0)
    """Peak learning rate of the injection module, slots, markers and predictors."""
    weight_decay: float = Field(0.01, ge=0)
    """Decoupled weight decay; matrices only."""
    warmup_fraction: float = Field(0.03, ge=0, lt=1)
    """Fraction of the steps over which the learning rate rises from 0."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls after the warm-up."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradient norm above which gradients are scaled down."""
    recompute_prefix: bool = False
    """Compute the prompt up to the question again in the backward pass, a few hundred positions at
    a time, in place of keeping what it needs: less memory with long videos, one more pass."""
    shard_weights: bool = False
    """Share weights and gradients of the backbone out among the processes (FSDP2), not only the
    optimizer's state: for models that do not fit one GPU. The same training, slower."""
    checkpoint_every_steps: int = Field(200, ge=1)
    """Steps between checkpoints."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of initial weights, data order and schedules."""


class Cache(Section):
    """What is kept of each video so that it is decoded and encoded once."""

    tier: Literal["features", "frames", "none"] = "features"
    """`features` keeps what the vision tower made of it, `frames` the resized pictures (smaller
    for some families, needed where the tower learns), `none` decodes each time."""
    commit_videos: int = Field(32, ge=1)
    """Videos written at a time; what a kill can lose."""
