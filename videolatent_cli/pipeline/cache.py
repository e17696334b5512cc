"""`vl cache`: build, inspect, verify and compact the cache of encoded videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from videolatent_cli.errors import RecipeError
from videolatent_cli.model.backbones.load import check_device
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.prepare import (
    BuildReport,
    CacheStatus,
    cache_status,
    clips_of,
    open_source,
    prepare,
    recipe_dataset,
)
from videolatent_cli.recipe import load_recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store import CacheReport, FeatureCache

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.model.source import VideoSource
    from videolatent_cli.recipe import Recipe
    from videolatent_cli.video.clip import Clip


@dataclass(frozen=True)
class CacheRequest:
    """Recipe to cache the videos of."""

    recipe: Recipe
    base_dir: Path
    """Folder of the recipe file; data paths are relative to it."""


def build_cache(
    request: CacheRequest, machine: Machine = Machine(), progress: Progress = silent
) -> BuildReport:
    """Encode a recipe's videos that are not cached yet: `vl cache build`."""
    _need_cache(request.recipe)
    model = build_model(request.recipe, check_device(machine.device))
    return prepare(request.recipe, model, request.base_dir, machine.cache_dir, progress)[1]


def recipe_cache_status(request: CacheRequest, machine: Machine = Machine()) -> CacheStatus:
    """Return how many of a recipe's clips are cached: `vl cache status`."""
    source, clips = _source_and_clips(request, machine)
    return cache_status(source, clips, machine.cache_dir)


def _source_and_clips(request: CacheRequest, machine: Machine) -> tuple[VideoSource, list[Clip]]:
    """Return the source of a recipe's videos and all its clips, without rendering any."""
    recipe = request.recipe
    _need_cache(recipe)
    dataset = recipe_dataset(recipe, request.base_dir, machine.cache_dir, check_files=False)
    model = build_model(recipe, check_device(machine.device))
    return open_source(recipe, model, machine.cache_dir), clips_of(dataset)


def _need_cache(recipe: Recipe) -> None:
    """Raise if a recipe uses no cache."""
    if recipe.cache.tier == "none":
        raise RecipeError("cache.tier is none: there is nothing to cache; set it to features")


@dataclass(frozen=True)
class VerifyRequest:
    """Options of a verification."""

    repair: bool = False
    """Remove damaged and duplicate rows."""


def verify_cache(request: VerifyRequest, machine: Machine = Machine()) -> CacheReport:
    """Read every row of the cache back and compare it with its checksum: `vl cache verify`."""
    cache = FeatureCache(machine.cache_dir)
    report = cache.verify()
    if request.repair and (report.bad_keys or report.doubled_keys):
        cache.remove([*report.bad_keys, *report.doubled_keys])
    return report


@dataclass(frozen=True)
class CollectRequest:
    """Rows to keep in the cache."""

    keep_only: Path | None = None
    """Recipe file: all rows that it does not use are dropped; None: every row is kept."""
    dry_run: bool = False
    """Only count the rows that would be dropped."""


@dataclass(frozen=True)
class CollectReport:
    """Amounts that were dropped from the cache, or would be dropped with `dry_run`."""

    rows: int
    """Number of rows dropped."""
    freed_bytes: int
    """Disk space freed, also by compacting; 0 with `dry_run`, which does not know it."""


def collect_garbage(request: CollectRequest, machine: Machine = Machine()) -> CollectReport:
    """Compact the cache, and drop the rows that `keep_only` does not use: `vl cache gc`."""
    keep = _recipe_keys(request.keep_only, machine) if request.keep_only is not None else None
    cache = FeatureCache(machine.cache_dir)
    before = cache.size_bytes()
    drop = sorted(cache.keys() - keep) if keep is not None else []
    if request.dry_run:
        return CollectReport(len(drop), 0)
    if drop:
        cache.remove(drop)
    cache.compact()
    return CollectReport(len(drop), before - cache.size_bytes())


def _recipe_keys(path: Path, machine: Machine) -> frozenset[str]:
    """Return the keys of all rows that a recipe uses; only existing files have a key."""
    source, clips = _source_and_clips(CacheRequest(load_recipe(path), path.parent), machine)
    return frozenset(source.key(clip) for clip in clips if clip.path.exists())
