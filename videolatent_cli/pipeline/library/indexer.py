"""What makes the rows of a library: decode in processes of their own, encode, describe."""

from __future__ import annotations

from collections import ChainMap
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from loguru import logger

from videolatent_cli.errors import VideoError
from videolatent_cli.model.source import Clip
from videolatent_cli.pipeline.encode import encode_clips
from videolatent_cli.pipeline.library.embedding import LEXICAL, Embedder, full_spec, open_embedder
from videolatent_cli.pipeline.library.isolation import Isolation
from videolatent_cli.pipeline.library.segment_maker import Part, SegmentMaker, prompts_of
from videolatent_cli.pipeline.models import TrainedModel, open_model
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library
from videolatent_cli.store.library_rows import FileRow, Manifest, SegmentRow
from videolatent_cli.video.decode import decode_frames
from videolatent_cli.video.probe import VideoInfo, content_id, probe
from videolatent_cli.video.segments import cut_video
from videolatent_cli.video.subtitles import Line, read_subtitles
from videolatent_cli.video.thumbnail import jpeg, moment_thumbnail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from videolatent_cli.pipeline.interrupt import StopRequest
    from videolatent_cli.pipeline.library.index import IndexRequest
    from videolatent_cli.pipeline.library.survey import FoundFile, Survey
    from videolatent_cli.pipeline.progress import Progress
    from videolatent_cli.video.frames import FrameBatch

_FILES_AT_ONCE, _SEGMENTS_AT_ONCE = 32, 256
"""A commit holds no more files, and few more segments, than this."""


@dataclass(frozen=True)
class _Looked:
    """A file that was probed."""

    row: FileRow
    parts: list[Part]
    """What is to be described; empty where the content is known or cannot be read."""
    lines: tuple[Line, ...] = ()
    told: bool = True
    """Whether segments of the content tell of this file, or of another one that is there."""


def open_indexer(
    request: IndexRequest, run: Path | None, cache_dir: Path, device: str, library: Library | None
) -> Indexer:
    """Return what writes to a library, its contract checked; to a new one where there is none.

    Raises:
        IncompatibleError: Where the library was made in another way.
    """
    known = library.manifest.embedder_spec if library is not None else LEXICAL
    spec = full_spec(request.embedder or known)
    embedder = open_embedder(spec)
    trained = open_model(run, device)
    wanted = _manifest(trained, request, embedder, spec)
    if library is None:
        library = Library.create(request.library, wanted)
    library.check(
        sampling=wanted.sampling,
        fingerprint=wanted.fingerprint,
        descriptions=wanted.descriptions,
        embedder=wanted.embedder,
    )
    return Indexer(trained, library, request, cache_dir, embedder)


def _manifest(
    trained: TrainedModel, request: IndexRequest, embedder: Embedder, spec: str
) -> Manifest:
    """Return what a library that is made now agrees on."""
    model = trained.checkpoint.recipe.backbone.model
    return Manifest(
        sampling=trained.checkpoint.sampling.hash,
        fingerprint=trained.source().fingerprint,
        segments=request.segments.name,
        descriptions=f"{model}: {' '.join(prompts_of(trained))}",
        embedder=embedder.name,
        embedder_spec=spec,
        dim=embedder.dim,
        model={"backbone": model, "run": trained.name},
    )


class Indexer:
    """Turns files into rows, some at a time, each part committed before the next."""

    def __init__(
        self,
        trained: TrainedModel,
        library: Library,
        request: IndexRequest,
        cache_dir: Path,
        embedder: Embedder,
    ) -> None:
        self.library = library
        self._request = request
        self._source = trained.source(FeatureCache(cache_dir))
        self._needs_pictures = embedder.sees
        self._maker = SegmentMaker(trained, self._source, embedder)
        self._seconds = trained.checkpoint.recipe.video.timeout_seconds

    def __enter__(self) -> Self:
        self._isolation = Isolation(self._request.jobs, self._seconds).__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._isolation.__exit__(*error)

    def index(self, found: Survey, stop: StopRequest, progress: Progress) -> list[FileRow]:
        """Commit what is to do, some files at a time, and return their rows."""
        self.library.set_roots(found.roots)
        known, told = self._lengths(), set(found.told)
        done: list[FileRow] = []

        def check() -> None:
            stop.check(f"{len(done)} files are indexed", "the same command")

        for group in self._groups(found.todo, known, told):
            parts = [part for looked in group for part in looked.parts]
            pictures, bad = self._encode(parts, check)
            failed = {p.row.content_id: bad[p.clip.path] for p in parts if p.clip.path in bad}
            good = [part for part in parts if part.row.content_id not in failed]
            self.library.segments.put(self._maker.make(good, pictures))
            self.library.segments.replace(self._told_again(group))
            rows = [_marked(looked.row, failed) for looked in group]
            self.library.put_files(rows)
            known |= {r.content_id: r.duration_seconds for r in rows if r.state == "indexed"}
            done += rows
            progress("index", len(done), len(found.todo))
            check()
        return done

    def _groups(
        self, files: Sequence[FoundFile], known: dict[str, float], told: set[str]
    ) -> Iterator[list[_Looked]]:
        """Yield files with what is wanted of them, as many as are committed together."""
        group: list[_Looked] = []
        for file in files:
            pending = {g.row.content_id: g.row.duration_seconds for g in group if g.parts}
            looked = self._look(file, ChainMap(pending, known), told)
            told.add(looked.row.content_id)
            group.append(looked)
            parts = sum(len(one.parts) for one in group)
            if len(group) >= _FILES_AT_ONCE or parts >= _SEGMENTS_AT_ONCE:
                yield group
                group = []
        if group:
            yield group

    def _lengths(self) -> dict[str, float]:
        """Return the contents that have segments, with their lengths (s)."""
        contents = self.library.segments.contents()
        files = self.library.files()
        return {r.content_id: r.duration_seconds for r in files if r.content_id in contents}

    def _look(self, file: FoundFile, known: Mapping[str, float], told: set[str]) -> _Looked:
        """Return a file's row with content and length, and its parts if the content is new."""
        path = file.video.path
        try:
            content = content_id(path)
            if content in known:
                row = replace(file.row, content_id=content, duration_seconds=known[content])
                fresh = content in told and not row.beside and not row.notes
                lines = () if fresh else self._lines(file, self._isolation.run(probe, path))
                return _Looked(row, [], lines, told=fresh)
            info = self._isolation.run(probe, path)
            length = info.duration_seconds
            cuts = self._isolation.run(cut_video, path, self._request.segments, length)
        except VideoError as error:
            return _Looked(replace(file.row, state="failed", reason=_plain(error)), [])
        row = replace(file.row, content_id=content, duration_seconds=length)
        lines = self._lines(file, info)
        windows = [(None, None)] if len(cuts) == 1 else cuts
        return _Looked(row, [Part(row, Clip(path, window), lines) for window in windows], lines)

    def _lines(self, file: FoundFile, info: VideoInfo) -> tuple[Line, ...]:
        """Return a file's subtitles; none, with a warning, where they cannot be read."""
        path, beside = file.video.path, file.video.subtitles
        try:
            return tuple(self._isolation.run(read_subtitles, path, beside, info.start_seconds))
        except VideoError as error:
            logger.warning("indexed without subtitles: {}", _plain(error))
            return ()

    def _told_again(self, group: Sequence[_Looked]) -> list[SegmentRow]:
        """Return segments of known contents that must tell of a file that is new or changed."""
        rows: dict[str, SegmentRow] = {}
        for looked in group:
            if not looked.told:
                segments = self.library.segments.of(looked.row.content_id)
                again = self._maker.tell_again(segments, looked.row, looked.lines)
                rows |= {segment.key: segment for segment in again}
        return list(rows.values())

    def _encode(
        self, parts: Sequence[Part], check: Callable[[], None]
    ) -> tuple[dict[Clip, bytes], dict[Path, str]]:
        """Fill the cache; return a picture of each clip that was decoded, and what failed."""
        missing = [part.clip for part in parts if not self._source.cached(part.clip)]
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
        if self._needs_pictures:
            for part in parts:
                if part.clip not in pictures and part.clip.path not in failed:
                    pictures[part.clip] = self._picture(part)
        return pictures, failed

    def _picture(self, part: Part) -> bytes:
        """Return a picture of a part whose features were there before, for embedders that see."""
        start, end = part.clip.window
        stop = part.row.duration_seconds if end is None else end
        return self._isolation.run(moment_thumbnail, part.clip.path, start or 0.0, stop)

    def _decode(self, clip: Clip) -> FrameBatch:
        """Return a clip's frames, decoded in a process of its own."""
        sampling = self._source.sampling
        return self._isolation.run(decode_frames, clip.path, sampling, clip.window, self._seconds)


def _marked(row: FileRow, failed: Mapping[str, str]) -> FileRow:
    """Return a row, marked where its content does not decode."""
    reason = failed.get(row.content_id)
    return row if reason is None else replace(row, state="failed", reason=reason)


def _plain(error: VideoError) -> str:
    """Return what is wrong with a file, in text that a table takes."""
    return str(error).encode("utf-8", "backslashreplace").decode()
