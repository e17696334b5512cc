"""From the `data` section of a recipe to micro batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videolatent_cli.model.batch import Prompter
from videolatent_cli.pipeline.prepare import Prepared, clips_of, prepare
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.recipe.data_schema import EventWorldStreamData
from videolatent_cli.training.feed import Lengths, StreamFeed, TripletFeed

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe


def make_feed(
    recipe: Recipe,
    model: VideoLatent,
    base_dir: Path,
    cache_dir: Path,
    progress: Progress = silent,
) -> StreamFeed | TripletFeed:
    """Return the micro batches of a recipe; what the cache lacks is made first."""
    if isinstance(recipe.data, EventWorldStreamData):
        return StreamFeed(recipe.data, recipe.training.videos_per_batch, model.backbone)
    prepared, _ = prepare(recipe, model, base_dir, cache_dir, progress)
    lengths = None
    if recipe.training.tokens_per_batch is not None:
        lengths = _lengths(recipe, prepared)
    live = recipe.backbone.train_vision
    return TripletFeed(
        prepared.dataset, prepared.source, recipe.training, live_frames=live, lengths=lengths
    )


def _lengths(recipe: Recipe, prepared: Prepared) -> Lengths:
    """Return the positions of all clips, from the columns of the cache."""
    clips = clips_of(prepared.dataset)
    source = prepared.source
    heads = Prompter(source.backbone).heads(source.layouts(clips))
    latents = recipe.latent.num_positions if recipe.latent is not None else 0
    return Lengths({c: len(head) for c, head in zip(clips, heads, strict=True)}, latents)
