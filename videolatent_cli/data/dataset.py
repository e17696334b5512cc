"""Data sets: triplets by split, with the folder of their videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from videolatent_cli.data.eventworld import SPEC_VERSION, SPLITS
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.data.triplets import Triplet, read_triplets, with_rationale
from videolatent_cli.errors import DataError, RecipeError, VideoError, WindowError
from videolatent_cli.recipe import digest
from videolatent_cli.recipe.data_schema import EventWorldData, TripletsData
from videolatent_cli.video.clip import Clip, window_bounds
from videolatent_cli.video.info import read_info

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

TRAIN = "train"
"""Name of the training split."""


@dataclass(frozen=True)
class Dataset:
    """Triplets by split, with the folder of their videos."""

    splits: dict[str, list[Triplet]]
    """Triplets of each split: `train` first, then the evaluation splits."""
    media_root: Path
    """Folder that the triplets' video paths are relative to."""

    @property
    def fingerprint(self) -> str:
        """Digest of the training triplets: 12 hexadecimal digits that change with any of them."""
        return digest([t.model_dump(mode="json") for t in self.splits.get(TRAIN, [])])

    @property
    def evaluation(self) -> dict[str, list[Triplet]]:
        """Evaluation splits, which are not trained on."""
        return {name: triplets for name, triplets in self.splits.items() if name != TRAIN}

    def path(self, triplet: Triplet) -> Path:
        """Return the video file of a triplet.

        Raises:
            DataError: If the path is outside the media root.
        """
        path = (self.media_root / triplet.video).resolve()
        if not path.is_relative_to(self.media_root.resolve()):
            raise DataError(
                f"{triplet.id}: video: must be below {self.media_root}, got {triplet.video}; "
                "set data.media_root"
            )
        return path

    def videos(self) -> dict[Path, Triplet]:
        """Return each video file once, with the first triplet about it."""
        first_triplets: dict[Path, Triplet] = {}
        for triplets in self.splits.values():
            for triplet in triplets:
                first_triplets.setdefault(self.path(triplet), triplet)
        return first_triplets

    def clip(self, triplet: Triplet) -> Clip:
        """Return the video, or the part of it, that a triplet is about."""
        return Clip(self.path(triplet), triplet.window)

    def without(self, bad: Iterable[Clip]) -> Dataset:
        """Return the data set without the triplets about some clips."""
        excluded = set(bad)
        kept = {
            name: [t for t in triplets if self.clip(t) not in excluded]
            for name, triplets in self.splits.items()
        }
        return Dataset(kept, self.media_root)

    def outside_parts(self, clips: Iterable[Clip] | None = None) -> dict[Clip, str]:
        """Return the parts that lie outside of their videos, each with the reason.

        The reason names the first triplet about the part. Videos that cannot be read are passed
        over: they have errors of their own.

        Args:
            clips: Clips to look at; None: all of the data set.
        """
        triplets = {self.clip(t): t for split in self.splits.values() for t in reversed(split)}
        looked_at = triplets if clips is None else clips
        outside = {}
        for clip in sorted((c for c in looked_at if c.is_part), key=lambda clip: clip.path):
            try:
                window_bounds(clip.path, clip.window, read_info(clip.path).duration_seconds)
            except WindowError as error:
                outside[clip] = f"{triplets[clip].id}: {error}"
            except VideoError:
                continue
        return outside


def load_dataset(data: TripletsData | EventWorldData, base_dir: Path, cache_dir: Path) -> Dataset:
    """Return the data set of a recipe; no video is opened or rendered.

    Args:
        data: Section `data` of the recipe.
        base_dir: Folder of the recipe file.
        cache_dir: Folder of caches; EventWorld videos are stored in a folder below it.

    Raises:
        DataError: For triplets that cannot be read; the message lists every problem.
        RecipeError: For unknown splits or families.
    """
    if isinstance(data, TripletsData):
        path = base_dir / data.path
        splits = {TRAIN: _targets(data, read_triplets(path))}
        if data.eval_path is not None:
            splits["eval"] = read_triplets(base_dir / data.eval_path)
        root = base_dir / data.media_root if data.media_root is not None else path.parent
        return Dataset(splits, root)
    unknown = [name for name in data.eval_splits if name not in SPLITS]
    if unknown:
        raise RecipeError(
            f"data.eval_splits: unknown split, got {unknown}; choose from: {', '.join(SPLITS)}"
        )
    splits = {}
    for name in (TRAIN, *data.eval_splits):
        indices = range(video_count(data, name))
        # Rationales are for training only: evaluation compares with the bare answer.
        kind = data.rationale if data.target == "rationale" and name == TRAIN else None
        pairs = eventworld_triplets(
            name, indices, data.families, data.questions_per_video, rationale=kind
        )
        splits[name] = [triplet for _, triplets in pairs for triplet in triplets]
    splits[TRAIN] = _targets(data, splits[TRAIN])
    return Dataset(splits, cache_dir / f"eventworld-v{SPEC_VERSION}")


def _targets(data: TripletsData | EventWorldData, triplets: list[Triplet]) -> list[Triplet]:
    """Return training triplets with the answers that the recipe trains: answer or rationale."""
    return [with_rationale(t) for t in triplets] if data.target == "rationale" else triplets


def video_count(data: EventWorldData, split: str) -> int:
    """Return the number of videos of a split."""
    return data.num_videos if split == TRAIN else data.num_eval_videos


def check_media(dataset: Dataset, source: Path) -> None:
    """Check that the video file of every triplet exists.

    Raises:
        DataError: If files are missing; the message names at most 20 of them.
    """
    missing = [t for path, t in dataset.videos().items() if not path.exists()]
    if missing:
        lines = [
            f"{t.id}: video: file not found: {t.video} (looked in {dataset.media_root})"
            for t in missing[:20]
        ]
        rest = len(missing) - len(lines)
        more = [f"... and {rest} more missing videos"] if rest else []
        raise DataError("\n".join([*lines, *more, f"{source}: set data.media_root, or fix paths"]))
