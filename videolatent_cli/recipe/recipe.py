"""The complete recipe, and the rules between its sections."""

from typing import Literal, Self

from pydantic import model_validator

from videolatent_cli.recipe.data_schema import Data, MediaData, Section, Visible
from videolatent_cli.recipe.schema import Backbone, Cache, Latent, Loss, Training, Video


class Recipe(Section):
    """Full description of a run: the same recipe and the same data give the same model."""

    version: Literal[1]
    """Version of the recipe file format; always 1."""
    data: Data
    """Training and evaluation data."""
    video: Video = Video()
    """Frames that the model sees of each video."""
    backbone: Backbone = Backbone()
    """Pretrained multimodal language model."""
    latent: Latent | None = Latent()
    """Latent injection module; null: plain fine-tuning without latents."""
    loss: Loss = Loss()
    """Weights of the objectives."""
    training: Training = Training()
    """Optimisation settings."""
    cache: Cache = Cache()
    """Cache of encoded videos."""

    @property
    def writes_rationale(self) -> bool:
        """Whether the model is trained to write its reasoning before the answer."""
        return isinstance(self.data, MediaData) and self.data.target == "rationale"

    @property
    def visible(self) -> Visible:
        """Part of each video that the model sees, as `data.visible` sets it."""
        return self.data.visible if isinstance(self.data, MediaData) else "video"

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        problems = conflicts(self)
        if problems:
            raise ValueError("; ".join(problems))
        return self


def conflicts(recipe: Recipe) -> list[str]:
    """Return one message per contradiction between sections that are valid on their own."""
    rules = (*_section_rules(recipe), *_training_rules(recipe))
    return [message for violated, message in rules if violated]


def _section_rules(recipe: Recipe) -> list[tuple[bool, str]]:
    """Return (violated, message) for each rule between sections."""
    rollout = recipe.latent is not None and recipe.latent.num_blocks > 0
    stream = recipe.data.type == "eventworld_stream"
    quantized = recipe.backbone.quantization != "none"
    return [
        (
            recipe.backbone.train_vision and recipe.cache.tier == "features",
            "backbone.train_vision is true, so cached features would go stale; "
            "set cache.tier to frames or none",
        ),
        (
            recipe.latent is not None and recipe.writes_rationale,
            "data.target is rationale, but latents take the place of a written rationale; "
            "set latent to null, or data.target to answer",
        ),
        (
            recipe.backbone.train_vision and recipe.visible != "video",
            f"data.visible is {recipe.visible}, which acts on features, but "
            "backbone.train_vision is true; set it to false",
        ),
        (
            stream and recipe.cache.tier != "none",
            f"cache.tier is {recipe.cache.tier}, but data.type eventworld_stream shows each "
            "video once; set cache.tier to none",
        ),
        (
            stream and recipe.training.max_steps is None,
            "training.max_steps is null, but data.type eventworld_stream has no end; "
            "set training.max_steps",
        ),
        (
            recipe.backbone.weights == "random" and recipe.backbone.train != "full",
            f"backbone.weights is random but backbone.train is {recipe.backbone.train}; "
            "set backbone.train to full",
        ),
        (
            quantized and recipe.backbone.train == "full",
            "backbone.quantization is nf4, but backbone.train is full; set it to lora or frozen",
        ),
        (
            quantized and recipe.backbone.weights == "random",
            "backbone.quantization is nf4, but backbone.weights is random; set weights to "
            "pretrained, or quantization to none",
        ),
        (
            recipe.latent is not None and not rollout and recipe.loss.bottleneck_weight > 0,
            "loss.bottleneck_weight is above 0, but there are no latents to answer from; "
            "set it to 0, or latent.num_blocks above 0",
        ),
        (
            recipe.latent is not None and not rollout and recipe.loss.diversity_weight > 0,
            "loss.diversity_weight is above 0, but there are no latents; "
            "set it to 0, or latent.num_blocks above 0",
        ),
    ]


def _training_rules(recipe: Recipe) -> list[tuple[bool, str]]:
    """Return (violated, message) for each rule about the `training` section."""
    return [
        (
            recipe.training.tokens_per_batch is not None and recipe.cache.tier == "none",
            "training.tokens_per_batch is set, but with cache.tier none the lengths of videos are "
            "unknown; set cache.tier to features or frames",
        ),
        (
            recipe.training.tokens_per_batch is not None and recipe.training.videos_per_batch > 1,
            f"training.videos_per_batch is {recipe.training.videos_per_batch}, but "
            "training.tokens_per_batch is set too; set one of them",
        ),
        (
            recipe.training.shard_weights and recipe.training.optimizer == "muon",
            "training.shard_weights is true, but training.optimizer muon needs whole matrices; "
            "set it to adamw, or shard_weights to false",
        ),
        (
            recipe.training.shard_weights and recipe.backbone.quantization != "none",
            "training.shard_weights is true, but backbone.quantization is nf4; set it to none, or "
            "shard_weights to false",
        ),
        (
            recipe.training.shard_weights and recipe.loss.teacher != "current",
            f"training.shard_weights is true, but loss.teacher {recipe.loss.teacher} keeps whole "
            "weights; set it to current, or shard_weights to false",
        ),
    ]
