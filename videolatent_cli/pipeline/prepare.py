"""A recipe's data made ready: triplets read, videos checked, what the cache lacks encoded."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.data.dataset import Dataset, check_media, load_dataset, video_count
from videolatent_cli.data.eventworld.files import render_splits
from videolatent_cli.errors import DataError, RecipeError, VideoError
from videolatent_cli.model.batch import Prompter
from videolatent_cli.model.load import sampling_of
from videolatent_cli.model.source import VideoSource, encode_clips, missing_clips, pinned_clips
from videolatent_cli.recipe.data_schema import EventWorldData, EventWorldStreamData
from videolatent_cli.runtime.interrupt import StopRequest
from videolatent_cli.runtime.progress import Progress, silent
from videolatent_cli.store import FeatureCache
from videolatent_cli.training.feed import StreamFeed, TripletFeed
from videolatent_cli.training.groups import Lengths
from videolatent_cli.video.clip import Clip

if TYPE_CHECKING:
    from pathlib import Path

    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe


@dataclass(frozen=True)
class CacheStatus:
    """How much of a recipe's data the cache holds."""

    wanted: int
    """Clips that the recipe uses, counted by content."""
    cached: int
    size_bytes: int
    folder: Path

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.cache-status/1`."""
        return {
            "schema": "vl.cache-status/1",
            "folder": str(self.folder),
            "wanted": self.wanted,
            "cached": self.cached,
            "size_bytes": self.size_bytes,
        }


@dataclass(frozen=True)
class BuildReport:
    """What a cache build did."""

    status: CacheStatus
    encoded: int
    quarantined: dict[Path, str]
    """Videos that cannot be read, with the reason."""
    seconds: float

    def document(self) -> dict[str, Any]:
        """Return the JSON document `vl.cache-build/1`."""
        bad = {str(path): reason for path, reason in self.quarantined.items()}
        status = self.status.document() | {"schema": "vl.cache-build/1"}
        return {**status, "encoded": self.encoded, "left_out": bad, "seconds": self.seconds}


@dataclass(frozen=True)
class Prepared:
    """A recipe's data, ready to be read: data set without bad videos, and their source."""

    dataset: Dataset
    source: VideoSource


def open_source(recipe: Recipe, model: VideoLatent, cache_dir: Path) -> VideoSource:
    """Return the source of videos that a recipe describes."""
    cache = FeatureCache(cache_dir) if recipe.cache.tier != "none" else None
    return VideoSource(
        model.backbone,
        sampling_of(recipe, model),
        tier=recipe.cache.tier,
        cache=cache,
        timeout_seconds=recipe.video.timeout_seconds,
        visible=recipe.visible,
    )


def recipe_dataset(
    recipe: Recipe,
    base_dir: Path,
    cache_dir: Path,
    progress: Progress = silent,
    *,
    check_files: bool = True,
) -> Dataset:
    """Return the data set of a recipe.

    Args:
        recipe: The recipe.
        base_dir: Folder of the recipe file.
        cache_dir: Folder of caches.
        progress: Called with (what, done, total) while EventWorld is rendered.
        check_files: Render what is missing and raise for missing files; False only reads triplets.

    Raises:
        RecipeError: For a stream, which has no files.
    """
    if isinstance(recipe.data, EventWorldStreamData):
        raise RecipeError(
            "data.type: eventworld_stream has no files to cache, check or evaluate; "
            "use a recipe with eventworld or triplets"
        )
    dataset = load_dataset(recipe.data, base_dir, cache_dir)
    if isinstance(recipe.data, EventWorldData):
        splits = {name: video_count(recipe.data, name) for name in dataset.splits}
        if check_files:
            render_splits(dataset.media_root, splits, lambda d, n: progress("render", d, n))
    elif check_files:
        check_media(dataset, base_dir / recipe.data.path)
    return dataset


def clips_of(dataset: Dataset) -> list[Clip]:
    """Return all clips of a data set, each once."""
    return list(
        dict.fromkeys(
            Clip(dataset.path(t), t.window) for split in dataset.splits.values() for t in split
        )
    )


def prepare(
    recipe: Recipe,
    model: VideoLatent,
    base_dir: Path,
    cache_dir: Path,
    progress: Progress = silent,
) -> tuple[Prepared, BuildReport]:
    """Load a recipe's data and fill the cache with what is missing.

    Raises:
        DataError: For bad videos beyond the recipe's `data.on_bad` policy.
        InterruptedRunError: After Ctrl-C; what was encoded is kept.
    """
    started = time.perf_counter()
    dataset = recipe_dataset(recipe, base_dir, cache_dir, progress)
    source = open_source(recipe, model, cache_dir)
    clips = clips_of(dataset)
    pinned, lost = pinned_clips(clips)
    missing, bad = missing_clips(source, pinned), {clip.path: why for clip, why in lost.items()}
    encoded = 0
    if source.cache is not None and missing:
        encoding = encode_clips(source, missing, recipe.cache.commit_videos)
        with closing(encoding), StopRequest() as stop:
            for clip, frames in encoding:
                if isinstance(frames, VideoError):
                    bad[clip.path] = str(frames)
                    _stop_early(recipe, bad)
                else:
                    encoded += 1
                progress("encode", encoded + len(bad), len(missing))
                stop.check(f"{encoded} videos are cached", "the same command")
    _enforce(recipe, bad, len({clip.path for clip in clips}))
    for reason in bad.values():
        logger.warning("left out: {}", reason)
    status = cache_status(source, [c for c in pinned if c.path not in bad], cache_dir)
    report = BuildReport(status, encoded, bad, time.perf_counter() - started)
    return Prepared(dataset.without(bad), source), report


def _stop_early(recipe: Recipe, bad: dict[Path, str]) -> None:
    """Raise at the first bad video where the recipe wants none."""
    assert not isinstance(recipe.data, EventWorldStreamData)
    if recipe.data.on_bad == "fail":
        reason = next(iter(bad.values()))
        raise DataError(f"{reason}; mend or remove it, or set data.on_bad to skip")


def _enforce(recipe: Recipe, bad: dict[Path, str], total: int) -> None:
    """Raise where more videos are bad than the recipe allows."""
    assert not isinstance(recipe.data, EventWorldStreamData)
    if not bad:
        return
    _stop_early(recipe, bad)
    limit = recipe.data.max_bad_fraction
    if len(bad) > limit * total:
        raise DataError(
            f"{len(bad)} of {total} videos cannot be read, data.max_bad_fraction allows {limit:g}; "
            "run 'vl data check' for the list"
        )


def cache_status(source: VideoSource, clips: list[Clip], folder: Path) -> CacheStatus:
    """Return how much of some clips the cache holds; a file that is missing is not cached."""
    known = source.cache.keys() if source.cache is not None else frozenset()
    present, absent = pinned_clips(clips)
    keys = {source.key(clip) for clip in present}
    size = source.cache.size_bytes() if source.cache is not None else 0
    return CacheStatus(len(keys) + len(absent), len(keys & known), size, folder)


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
    heads = Prompter(source.backbone).video_prompts(source.layouts(clips))
    latents = recipe.latent.num_positions if recipe.latent is not None else 0
    return Lengths({c: len(head) for c, head in zip(clips, heads, strict=True)}, latents)
