"""What values of a recipe's sections do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videolatent_cli.recipe.schema import Recipe


def conflicts(recipe: Recipe) -> list[str]:
    """Return what is wrong with a recipe whose sections are valid each, and what to do."""
    rules = (*_between_sections(recipe), *_of_training(recipe))
    return [text for wrong, text in rules if wrong]


def _between_sections(recipe: Recipe) -> list[tuple[bool, str]]:
    """Return (is it so, what is wrong) for rules across sections."""
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
            recipe.backbone.train_vision and recipe.seen != "video",
            f"data.seen is {recipe.seen}, which acts on features, but backbone.train_vision is "
            "true; set it to false",
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


def _of_training(recipe: Recipe) -> list[tuple[bool, str]]:
    """Return the same for rules about the way of training."""
    return [
        (
            recipe.training.tokens_per_batch is not None and recipe.cache.tier == "none",
            "training.tokens_per_batch is set, but cache.tier none knows no lengths; change it",
        ),
        (
            recipe.training.tokens_per_batch is not None and recipe.training.videos_per_batch > 1,
            f"training.videos_per_batch is {recipe.training.videos_per_batch}, but "
            "tokens_per_batch decides; set one of them",
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
