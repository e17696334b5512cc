"""`vl cache`: what a recipe needs of its videos, made once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videolatent_cli.errors import RecipeError
from videolatent_cli.model.load import build_model, check_device
from videolatent_cli.pipeline.prepare import (
    BuildReport,
    CacheStatus,
    cache_status,
    clips_of,
    open_source,
    prepare,
    recipe_dataset,
)
from videolatent_cli.pipeline.progress import Progress, silent
from videolatent_cli.recipe import load_recipe
from videolatent_cli.store import CacheReport, FeatureCache

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.model.source import Clip, VideoSource
    from videolatent_cli.recipe import Recipe


def build_cache(
    recipe: Recipe,
    base_dir: Path,
    cache_dir: Path,
    device: str = "auto",
    progress: Progress = silent,
) -> BuildReport:
    """Fill the cache for a recipe: `vl cache build`."""
    _need_cache(recipe)
    model = build_model(recipe, check_device(device))
    return prepare(recipe, model, base_dir, cache_dir, progress)[1]


def recipe_cache_status(
    recipe: Recipe, base_dir: Path, cache_dir: Path, device: str = "auto"
) -> CacheStatus:
    """Return how much of a recipe's data is cached: `vl cache status`."""
    source, clips = _source_and_clips(recipe, base_dir, cache_dir, device)
    return cache_status(source, clips, cache_dir)


def recipe_keys(recipe_path: Path, cache_dir: Path, device: str = "auto") -> frozenset[str]:
    """Return the keys of all rows that a recipe uses, of the files that are there."""
    recipe = load_recipe(recipe_path)
    source, clips = _source_and_clips(recipe, recipe_path.parent, cache_dir, device)
    return frozenset(source.key(clip) for clip in clips if clip.path.exists())


def _source_and_clips(
    recipe: Recipe, base_dir: Path, cache_dir: Path, device: str
) -> tuple[VideoSource, list[Clip]]:
    """Return the source of a recipe's videos and all its clips; nothing is rendered."""
    _need_cache(recipe)
    dataset = recipe_dataset(recipe, base_dir, cache_dir, check_files=False)
    model = build_model(recipe, check_device(device))
    return open_source(recipe, model, cache_dir), clips_of(dataset)


def _need_cache(recipe: Recipe) -> None:
    """Raise where a recipe keeps nothing."""
    if recipe.cache.tier == "none":
        raise RecipeError("cache.tier is none: there is nothing to cache; set it to features")


def verify_cache(cache_dir: Path, *, repair: bool) -> CacheReport:
    """Read every row back; with `repair`, remove rows that are bad: `vl cache verify`."""
    cache = FeatureCache(cache_dir)
    report = cache.verify()
    if repair and (report.bad_keys or report.doubled_keys):
        cache.remove([*report.bad_keys, *report.doubled_keys])
    return report


def collect_garbage(
    cache_dir: Path, keep: frozenset[str] | None = None, *, dry_run: bool = False
) -> tuple[int, int]:
    """Compact the cache; with `keep`, drop all other rows: `vl cache gc`.

    Returns:
        Rows dropped and bytes freed; with `dry_run`, the rows that would be.
    """
    cache = FeatureCache(cache_dir)
    before = cache.size_bytes()
    drop = sorted(cache.keys() - keep) if keep is not None else []
    if dry_run:
        return len(drop), 0
    if drop:
        cache.remove(drop)
    cache.compact()
    return len(drop), before - cache.size_bytes()
