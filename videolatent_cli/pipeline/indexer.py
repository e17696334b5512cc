"""What makes the segments of a library: decode in processes of their own, encode, describe."""

from __future__ import annotations

import re
from collections import ChainMap
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from videolatent_cli.data import lexical
from videolatent_cli.errors import VideoError
from videolatent_cli.model.describe import EMBEDDED_PROMPTS, PROMPTS, Describer
from videolatent_cli.model.load import load_backbone
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.encode import encode_clips
from videolatent_cli.pipeline.isolation import Isolation
from videolatent_cli.pipeline.models import TrainedModel, open_model
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library
from videolatent_cli.store.library_rows import FileRow, Manifest, SegmentRow
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.probe import content_id, probe
from videolatent_cli.video.thumbnail import jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from videolatent_cli.model.backbone import Backbone
    from videolatent_cli.pipeline.index import IndexRequest
    from videolatent_cli.pipeline.interrupt import StopRequest
    from videolatent_cli.pipeline.progress import Progress
    from videolatent_cli.pipeline.survey import FoundFile, Survey
    from videolatent_cli.video.frames import FrameBatch

_FILES_AT_ONCE, _SEGMENTS_AT_ONCE = 32, 256
"""A commit holds no more files, and few more segments, than this."""
_DESCRIBED_AT_ONCE = 16


def open_indexer(
    request: IndexRequest, run: Path | None, cache_dir: Path, device: str, library: Library | None
) -> Indexer:
    """Return what writes to a library, its contract checked; to a new one where there is none.

    Raises:
        IncompatibleError: Where the library was made in another way.
    """
    trained = open_model(run, device)
    wanted = _manifest(trained, request)
    if library is None:
        library = Library.create(request.library, wanted)
    library.check(
        sampling=wanted.sampling, fingerprint=wanted.fingerprint, embedder=wanted.embedder
    )
    return Indexer(trained, library, request, cache_dir)


def _manifest(trained: TrainedModel, request: IndexRequest) -> Manifest:
    """Return what a library that is made now agrees on."""
    model = trained.checkpoint.recipe.backbone.model
    return Manifest(
        sampling=trained.checkpoint.sampling.hash,
        fingerprint=trained.source().fingerprint,
        segments=request.segments.name,
        embedder=f"{lexical.NAME} of descriptions by {model}: {' '.join(_prompts(trained))}",
        dim=lexical.DIM,
        model={"backbone": model, "run": trained.name},
    )


def _prompts(trained: TrainedModel) -> tuple[str, ...]:
    """Return how the backbone is asked to describe a video."""
    return EMBEDDED_PROMPTS if trained.embedded_backbone else PROMPTS


def describing_backbone(trained: TrainedModel, device: str) -> Backbone:
    """Return the backbone that describes videos: as it was before it was trained on questions.

    Choice: a language model that was trained as a whole on short answers no longer lists what it
    sees; one with LoRA, or one whose vision tower was trained too, serves as it is.
    """
    recipe = trained.checkpoint.recipe.backbone
    if recipe.train == "full" and not recipe.train_vision:
        return load_backbone(recipe, device)
    return trained.model.backbone


class Indexer:
    """Turns files into rows, some at a time, each part committed before the next."""

    def __init__(
        self, trained: TrainedModel, library: Library, request: IndexRequest, cache_dir: Path
    ) -> None:
        self.library = library
        self._request = request
        self._source = trained.source(FeatureCache(cache_dir))
        device = str(trained.model.backbone.device)
        self._describer = Describer(describing_backbone(trained, device), _prompts(trained))
        self._seconds = trained.checkpoint.recipe.video.timeout_seconds

    def __enter__(self) -> Self:
        self._isolation = Isolation(self._request.jobs, self._seconds).__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._isolation.__exit__(*error)

    def index(self, found: Survey, stop: StopRequest, progress: Progress) -> list[FileRow]:
        """Commit what is to do, some files at a time, and return their rows."""
        self.library.set_roots(found.roots)
        known = self._lengths()
        done: list[FileRow] = []

        def check() -> None:
            stop.check(f"{len(done)} files are indexed", "the same command")

        for group in self._groups(found.todo, known):
            segments, failed = self._segments(group, check)
            rows = [
                replace(row, state="failed", reason=failed[row.content_id])
                if row.content_id in failed
                else row
                for row, _ in group
            ]
            self.library.segments.put(segments)
            self.library.put_files(rows)
            known |= {r.content_id: r.duration_seconds for r in rows if r.state == "indexed"}
            done += rows
            progress("index", len(done), len(found.todo))
            check()
        return done

    def _groups(
        self, files: Sequence[FoundFile], known: dict[str, float]
    ) -> Iterator[list[tuple[FileRow, list[Clip]]]]:
        """Yield files with the clips that are wanted of them, as many as are committed together."""
        group: list[tuple[FileRow, list[Clip]]] = []
        for file in files:
            pending = {row.content_id: row.duration_seconds for row, clips in group if clips}
            group.append(self._look(file, ChainMap(pending, known)))
            if len(group) >= _FILES_AT_ONCE or sum(len(c) for _, c in group) >= _SEGMENTS_AT_ONCE:
                yield group
                group = []
        if group:
            yield group

    def _lengths(self) -> dict[str, float]:
        """Return the contents that have segments, with their lengths (s)."""
        contents = self.library.segments.contents()
        files = self.library.files()
        return {r.content_id: r.duration_seconds for r in files if r.content_id in contents}

    def _look(self, file: FoundFile, known: Mapping[str, float]) -> tuple[FileRow, list[Clip]]:
        """Return a file's row with content and length, and its clips if the content is new."""
        try:
            content = content_id(file.path)
            if content in known:
                return replace(file.row, content_id=content, duration_seconds=known[content]), []
            info = self._isolation.run(probe, file.path)
        except VideoError as error:
            return replace(file.row, state="failed", reason=_plain(error)), []
        row = replace(file.row, content_id=content, duration_seconds=info.duration_seconds)
        parts = self._request.segments.cut(info.duration_seconds)
        windows = [(None, None)] if len(parts) == 1 else parts
        return row, [Clip(file.path, window) for window in windows]

    def _segments(
        self, group: Sequence[tuple[FileRow, list[Clip]]], check: Callable[[], None]
    ) -> tuple[list[SegmentRow], dict[str, str]]:
        """Return the segments of some files, and the contents that do not decode."""
        clips = [(row, clip) for row, found in group for clip in found]
        pictures, bad = self._encode([clip for _, clip in clips], check)
        failed = {row.content_id: bad[clip.path] for row, clip in clips if clip.path in bad}
        good = [(row, clip) for row, clip in clips if row.content_id not in failed]
        segments: list[SegmentRow] = []
        for start in range(0, len(good), _DESCRIBED_AT_ONCE):
            part = good[start : start + _DESCRIBED_AT_ONCE]
            features = self._source.features([clip for _, clip in part])
            seen = self._describer.describe(features)
            names = [_name_words(row) for row, _ in part]
            vectors = lexical.lexical_vectors(list(map(". ".join, zip(seen, names, strict=True))))
            for (row, clip), text, vector in zip(part, seen, vectors, strict=True):
                begin, end = clip.window
                segments.append(
                    SegmentRow(
                        content_id=row.content_id,
                        start_seconds=begin or 0.0,
                        end_seconds=row.duration_seconds if end is None else end,
                        whole=end is None,
                        description=text,
                        text=f"{text}\n{_name_words(row)}\n{row.path}",
                        vector=vector,
                        thumbnail=pictures.get(clip),
                    )
                )
            check()
        return segments, failed

    def _encode(
        self, clips: Sequence[Clip], check: Callable[[], None]
    ) -> tuple[dict[Clip, bytes], dict[Path, str]]:
        """Fill the cache; return a picture of each clip that was decoded, and what failed."""
        missing = [clip for clip in clips if not self._source.cached(clip)]
        pictures: dict[Clip, bytes] = {}
        failed: dict[Path, str] = {}
        if missing:
            encoding = encode_clips(self._source, missing, decode=self._decode)
            with closing(encoding):
                for clip, frames in encoding:
                    if isinstance(frames, VideoError):
                        failed.setdefault(clip.path, _plain(frames))
                    else:
                        pictures[clip] = jpeg(frames.data[len(frames) // 2])
                    check()
        return pictures, failed

    def _decode(self, clip: Clip) -> FrameBatch:
        """Return a clip's frames, decoded in a process of its own."""
        sampling = self._source.sampling
        return self._isolation.run(decode_frames, clip.path, sampling, clip.window, self._seconds)


def _name_words(row: FileRow) -> str:
    """Return file name and folders as words."""
    return " ".join(re.findall(r"[^\W_]+", row.path))


def _plain(error: VideoError) -> str:
    """Return what is wrong with a file, in text that a table takes."""
    return str(error).encode("utf-8", "backslashreplace").decode()
