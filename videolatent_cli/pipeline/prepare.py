"""Prepare a recipe's data: read the triplets, check the videos, encode those not cached yet."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.data.dataset import Dataset, check_media, load_dataset, video_count
from videolatent_cli.data.eventworld.files import render_splits
from videolatent_cli.errors import DataError, RecipeError, ResourceError, VideoError
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
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe


@dataclass(frozen=True)
class CacheStatus:
    """Amount of a recipe's data that is in the cache."""

    wanted: int
    """Number of clips that the recipe uses; clips with the same content count once."""
    cached: int
    """Number of these clips that are in the cache."""
    size_bytes: int
    """Size of the whole cache on disk."""
    folder: Path
    """Folder of the cache."""

    def document(self) -> dict[str, Any]:
        """Return the status as the JSON document `vl.cache-status/1`."""
        return {
            "schema": "vl.cache-status/1",
            "folder": str(self.folder),
            "wanted": self.wanted,
            "cached": self.cached,
            "size_bytes": self.size_bytes,
        }


@dataclass(frozen=True)
class BuildReport:
    """Outcome of a cache build."""

    status: CacheStatus
    """State of the cache after the build."""
    encoded: int
    """Number of clips that were encoded."""
    quarantined: dict[Path, str]
    """Reason why a video cannot be read, by the path of the video."""
    seconds: float
    """Wall time of the build (s)."""

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.cache-build/1`."""
        bad = {str(path): reason for path, reason in self.quarantined.items()}
        status = self.status.document() | {"schema": "vl.cache-build/1"}
        return {**status, "encoded": self.encoded, "left_out": bad, "seconds": self.seconds}


@dataclass(frozen=True)
class Prepared:
    """Data of a recipe, ready to be read."""

    dataset: Dataset
    """Data set without unreadable videos."""
    source: VideoSource
    """Source of the features or frames of its videos."""


def open_source(recipe: Recipe, model: VideoLatent, cache_dir: Path) -> VideoSource:
    """Return the video source that a recipe describes: its sampling, cache and visible part."""
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
        check_files: Render missing EventWorld files, and raise for other missing files; False: only
            read triplets.

    Raises:
        RecipeError: For a stream, which has no files.
        DataError: If `check_files` is set and a file is missing.
    """
    if isinstance(recipe.data, EventWorldStreamData):
        raise RecipeError(
            "data.type: eventworld_stream has no files to cache, check or evaluate; "
            "use a recipe with eventworld or triplets"
        )
    dataset = load_dataset(recipe.data, base_dir, cache_dir)
    if isinstance(recipe.data, EventWorldData):
        counts = {name: video_count(recipe.data, name) for name in dataset.splits}
        if check_files:
            render_splits(
                dataset.media_root, counts, lambda done, total: progress("render", done, total)
            )
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
    """Load a recipe's data and encode the clips that are not cached yet.

    Raises:
        DataError: If more videos are unreadable than the recipe's `data.on_bad` policy allows.
        InterruptedRunError: After Ctrl-C; videos encoded so far are kept.
    """
    started = time.perf_counter()
    dataset = recipe_dataset(recipe, base_dir, cache_dir, progress)
    source = open_source(recipe, model, cache_dir)
    clips = clips_of(dataset)
    pinned, without_file = pinned_clips(clips)
    missing = missing_clips(source, pinned)
    bad = {clip.path: reason for clip, reason in without_file.items()}
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


def unreadable_clips(
    source: VideoSource, clips: Iterable[Clip], progress: Progress = silent
) -> dict[Clip, str]:
    """Encode the clips that the cache lacks; return the reasons of those that cannot be read.

    Raises:
        InterruptedRunError: After Ctrl-C; videos encoded so far are kept.
    """
    pinned, reasons = pinned_clips(dict.fromkeys(clips))
    missing = missing_clips(source, pinned)
    bad: dict[str, str] = {}  # reasons by key
    with StopRequest() as stop, closing(_read(source, missing)) as reading:
        for done, (clip, reason) in enumerate(reading, start=1):
            if reason is not None:
                bad[source.key(clip)] = reasons[clip] = reason
            progress("encode", done, len(missing))
            stop.check(f"{done - len(bad)} videos are cached", "the same command")
    for clip in pinned:  # only the first of several files with equal content was read
        if clip not in reasons and source.key(clip) in bad:
            reasons[clip] = f"{clip.path}: has equal content; {bad[source.key(clip)]}"
    return reasons


def _read(source: VideoSource, clips: list[Clip]) -> Generator[tuple[Clip, str | None]]:
    """Encode clips into the cache, and yield each with its error; None: it can be read.

    If the cache cannot be written, the clips are only decoded.
    """
    done = 0
    try:
        with closing(encode_clips(source, clips)) as encoding:
            for clip, frames in encoding:
                done += 1
                yield clip, str(frames) if isinstance(frames, VideoError) else None
    except ResourceError as error:
        logger.warning("features are not cached, so videos are decoded again: {}", error)
    for clip in clips[done:]:
        try:
            source.decode(clip)
        except VideoError as error:
            yield clip, str(error)
        else:
            yield clip, None


def _stop_early(recipe: Recipe, bad: dict[Path, str]) -> None:
    """Raise at the first bad video if the recipe's policy is to fail."""
    assert not isinstance(recipe.data, EventWorldStreamData)
    if recipe.data.on_bad == "fail":
        reason = next(iter(bad.values()))
        raise DataError(f"{reason}; fix or remove it, or set data.on_bad to skip")


def _enforce(recipe: Recipe, bad: dict[Path, str], total: int) -> None:
    """Raise if more videos are bad than the recipe allows."""
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
    """Return how many of some clips are cached; a clip without a file counts as not cached."""
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
    """Return the feed of a recipe's micro batches, after encoding the clips not cached yet."""
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
    """Return the number of positions of each clip, from the cache's small columns alone."""
    clips = clips_of(prepared.dataset)
    source = prepared.source
    prompts = Prompter(source.backbone).video_prompts(source.layouts(clips))
    latents = recipe.latent.num_positions if recipe.latent is not None else 0
    return Lengths({c: len(prompt) for c, prompt in zip(clips, prompts, strict=True)}, latents)
