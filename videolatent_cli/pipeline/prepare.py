"""Prepare a recipe's data: read the triplets, check the videos, encode those not cached yet."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loguru import logger

from videolatent_cli.data.dataset import (
    TRAIN,
    Dataset,
    check_media,
    load_dataset,
    video_count,
)
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

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Mapping
    from pathlib import Path

    from videolatent_cli.model.videolatent import VideoLatent
    from videolatent_cli.recipe import Recipe
    from videolatent_cli.video.clip import Clip


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
    outside: tuple[str, ...]
    """Reasons of parts that lie outside of their videos; each names a triplet and the video."""
    seconds: float
    """Wall time of the build (s)."""

    def document(self) -> dict[str, Any]:
        """Return the report as the JSON document `vl.cache-build/1`."""
        bad = {str(path): reason for path, reason in self.quarantined.items()}
        bad |= {reason.partition(": ")[0]: reason for reason in self.outside}
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
    return list(dict.fromkeys(dataset.clip(t) for split in dataset.splits.values() for t in split))


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
    pinned, bad = pinned_clips(clips)
    missing = missing_clips(source, pinned)
    outside = _with_copies(source, pinned, dataset.outside_parts(missing))
    _enforce_parts(recipe, outside, len(clips))
    missing = [clip for clip in missing if clip not in outside]
    encoded = 0
    if source.cache is not None and missing:
        encoding = encode_clips(source, missing, recipe.cache.commit_videos)
        with closing(encoding), StopRequest() as stop:
            for clip, frames in encoding:
                if isinstance(frames, VideoError):
                    bad[clip] = str(frames)
                    _stop_early(recipe, [str(frames)])
                else:
                    encoded += 1
                progress("encode", encoded + len(bad), len(missing))
                stop.check(f"{encoded} videos are cached", "the same command")
    bad = _with_copies(source, pinned, bad)
    reasons = {clip.path: reason for clip, reason in bad.items()}
    _enforce(recipe, reasons, len({clip.path for clip in clips}))
    for reason in (*reasons.values(), *outside.values()):
        logger.warning("left out: {}", reason)
    left_out = bad | outside
    status = cache_status(source, [c for c in pinned if c not in left_out], cache_dir)
    report = BuildReport(
        status, encoded, reasons, tuple(outside.values()), time.perf_counter() - started
    )
    return Prepared(_without(dataset, left_out), source), report


def unreadable_clips(
    source: VideoSource, clips: Iterable[Clip], progress: Progress = silent
) -> dict[Clip, str]:
    """Encode the clips that the cache lacks; return the reasons of those that cannot be read.

    Raises:
        InterruptedRunError: After Ctrl-C; videos encoded so far are kept.
    """
    pinned, bad = pinned_clips(dict.fromkeys(clips))
    missing = missing_clips(source, pinned)
    with StopRequest() as stop, closing(_read(source, missing)) as reading:
        for done, (clip, reason) in enumerate(reading, start=1):
            if reason is not None:
                bad[clip] = reason
            progress("encode", done, len(missing))
            stop.check(f"{done} videos are read", "the same command")
    return _with_copies(source, pinned, bad)


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


def left_out_parts(recipe: Recipe, dataset: Dataset) -> Dataset:
    """Return the data set without the parts outside of their videos that training leaves out.

    Raises:
        DataError: If there are more such parts than the recipe's `data.on_bad` policy allows.
    """
    outside = dataset.outside_parts()
    _enforce_parts(recipe, outside, len(clips_of(dataset)))
    return _without(dataset, outside)


def _with_copies(source: VideoSource, clips: list[Clip], bad: dict[Clip, str]) -> dict[Clip, str]:
    """Return bad clips, and those with the same content, of which only one was looked at."""
    pinned = {clip: clip for clip in clips}
    reasons = {source.key(pinned[c]): reason for c, reason in bad.items() if c in pinned}
    return bad | {c: reasons[source.key(c)] for c in clips if source.key(c) in reasons}


def _without(dataset: Dataset, left_out: Mapping[Clip, str]) -> Dataset:
    """Return the data set without some clips.

    Raises:
        DataError: If no triplet is left to train on.
    """
    kept = dataset.without(left_out)
    before = len(dataset.splits.get(TRAIN, []))
    if before and not kept.splits[TRAIN]:
        raise DataError(
            f"no triplet is left to train on, got {before} that are all left out (first: "
            f"{next(iter(left_out.values()))}); fix their videos"
        )
    return kept


def _stop_early(recipe: Recipe, reasons: Collection[str]) -> None:
    """Raise at the first bad video, or for all parts outside, if the policy is to fail."""
    assert not isinstance(recipe.data, EventWorldStreamData)
    if recipe.data.on_bad == "fail" and reasons:
        lines = "\n".join(reasons)
        raise DataError(f"{lines}; fix or remove it, or set data.on_bad to skip")


def _enforce(recipe: Recipe, bad: Mapping[Path, str], total: int) -> None:
    """Raise if more videos are bad than the recipe allows."""
    assert not isinstance(recipe.data, EventWorldStreamData)
    _stop_early(recipe, list(bad.values())[:1])
    limit = recipe.data.max_bad_fraction
    if len(bad) > limit * total:
        raise DataError(
            f"{len(bad)} of {total} videos cannot be read, data.max_bad_fraction allows {limit:g}; "
            "run 'vl data check' for the list"
        )


def _enforce_parts(recipe: Recipe, outside: Mapping[Clip, str], total: int) -> None:
    """Raise if more parts lie outside of their videos than the recipe allows."""
    if not outside:
        return
    assert not isinstance(recipe.data, EventWorldStreamData)
    _stop_early(recipe, outside.values())
    limit = recipe.data.max_bad_fraction
    if len(outside) > limit * total:
        raise DataError(
            f"{len(outside)} of {total} parts lie outside of their videos, data.max_bad_fraction "
            f"allows {limit:g}; run 'vl data check' for the list"
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
