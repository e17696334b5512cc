"""What makes the rows of a library: decode in processes of their own, encode, describe."""

from __future__ import annotations

from collections import ChainMap
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import IncompatibleError, VideoError, printable
from videolatent_cli.pipeline.library.embedders.backbone import BackboneEmbedder
from videolatent_cli.pipeline.library.embedders.base import (
    LEXICAL,
    Embedder,
    full_spec,
    open_embedder,
)
from videolatent_cli.pipeline.library.local_builder import LocalBuilder, SegmentBuilder
from videolatent_cli.pipeline.library.ray_builder import RayBuilder, SegmentWork
from videolatent_cli.pipeline.library.segment_builder import SegmentJob, prompts_of, refresh_text
from videolatent_cli.pipeline.library.segmenting import SegmentRule, cut_video
from videolatent_cli.pipeline.library.transcripts import Caption, Transcriber, TranscriptReader
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.runtime.isolation import Isolation
from videolatent_cli.runtime.ray_pool import RayPool
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library
from videolatent_cli.store.library_rows import FileRow, Manifest, SegmentRow
from videolatent_cli.video.clip import Clip
from videolatent_cli.video.info import content_id, read_info

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from videolatent_cli.pipeline.library.scan import IndexRequest, Scan, ScannedFile
    from videolatent_cli.runtime.interrupt import StopRequest
    from videolatent_cli.runtime.machine import Machine
    from videolatent_cli.runtime.progress import Progress

_SEGMENTS_A_FILE = 8
"""Groups of files end early where they have more than this on average."""


@dataclass(frozen=True)
class _ProbedFile:
    """A file that was probed."""

    row: FileRow
    parts: list[SegmentJob]
    """What is to be described; empty where the content is known or cannot be read."""
    lines: tuple[Caption, ...] | None = ()
    """What is said; None: what its segments say already."""
    told: bool = True
    """Whether segments of the content tell of this file, or of another one that is there."""


@contextmanager
def open_indexer(
    request: IndexRequest, rule: SegmentRule, machine: Machine, library: Library | None
) -> Iterator[Indexer]:
    """Yield what writes to a library, its contract checked; to a new one where there is none.

    Raises:
        IncompatibleError: Where the library was made in another way.
    """
    known = library.manifest.embedder_spec if library is not None else LEXICAL
    spec = full_spec(request.embedder or known)
    embedder = open_embedder(spec)
    speech = library.manifest.speech if library is not None else request.speech_name
    transcriber = Transcriber(Path(speech)) if speech else None
    trained = open_model(request.run, machine.device)
    wanted = _manifest(trained, request, rule, embedder, spec)
    if isinstance(embedder, BackboneEmbedder) and embedder.fingerprint != wanted.fingerprint:
        raise IncompatibleError(
            f"--embedder: {spec} sees videos in another way than {trained.name}, which describes "
            "them; name the same run with --run"
        )
    if library is None:
        library = Library.create(request.library, wanted)
    library.check(
        sampling=wanted.sampling,
        fingerprint=wanted.fingerprint,
        descriptions=wanted.descriptions,
        embedder=wanted.embedder,
    )
    source = trained.source(FeatureCache(machine.cache_dir))
    with ExitStack() as stack:
        seconds = trained.checkpoint.recipe.video.timeout_seconds
        isolation = stack.enter_context(Isolation(request.jobs, seconds))
        maker: SegmentBuilder
        if request.workers is not None:
            work = (SegmentWork, trained.name, source.fingerprint, machine.device, spec)
            maker = RayBuilder(stack.enter_context(RayPool(request.workers, *work)), source)
        else:
            maker = LocalBuilder(trained, source, embedder, isolation)
        lines = TranscriptReader(isolation, transcriber)
        yield Indexer(library, rule, maker, embedder, isolation, lines)


def _manifest(
    trained: TrainedModel,
    request: IndexRequest,
    rule: SegmentRule,
    embedder: Embedder,
    spec: str,
) -> Manifest:
    """Return what a library that is made now agrees on."""
    model = trained.checkpoint.recipe.backbone.model
    return Manifest(
        sampling=trained.checkpoint.sampling.hash,
        fingerprint=trained.source().fingerprint,
        segments=rule.name,
        descriptions=f"{model}: {' '.join(prompts_of(trained))}",
        embedder=embedder.name,
        embedder_spec=spec,
        dim=embedder.dim,
        model={"backbone": model, "run": trained.name},
        speech=request.speech_name,
    )


class Indexer:
    """Turns files into rows, some at a time, each part committed before the next."""

    def __init__(
        self,
        library: Library,
        rule: SegmentRule,
        maker: SegmentBuilder,
        embedder: Embedder,
        isolation: Isolation,
        lines: TranscriptReader,
    ) -> None:
        self.library = library
        self._rule = rule
        self._maker = maker
        self._embedder = embedder
        self._isolation = isolation
        self._lines = lines

    def index(self, found: Scan, stop: StopRequest, progress: Progress) -> list[FileRow]:
        """Commit what is to do, some files at a time, and return their rows."""
        self.library.set_roots(found.roots)
        self.library.sweep()
        self._mark_pending(found.todo)
        known, told = self._lengths(), set(found.told)
        done: list[FileRow] = []

        def check() -> None:
            stop.check(f"{len(done)} files are indexed", "the same command")

        for group in self._groups(found.todo, known, told):
            made = self._maker.make([part for looked in group for part in looked.parts], check)
            self.library.segments.put(made.segments)
            self.library.segments.replace(self._refreshed_segments(group))
            rows = [_marked(looked.row, made.failed) for looked in group]
            self.library.put_files(rows)
            known |= {r.content_id: r.duration_seconds for r in rows if r.state == "indexed"}
            done += rows
            progress("index", len(done), len(found.todo))
            check()
        return done

    def _mark_pending(self, files: Sequence[ScannedFile]) -> None:
        """Tell other processes of new files; changed ones stay as they are until they are read."""
        known = {row.key for row in self.library.files()}
        new = [file.row for file in files if file.row.key not in known]
        self.library.put_files([replace(row, state="pending") for row in new])

    def _groups(
        self, files: Sequence[ScannedFile], known: dict[str, float], told: set[str]
    ) -> Iterator[list[_ProbedFile]]:
        """Yield files with what is wanted of them, as many as are committed together."""
        group: list[_ProbedFile] = []
        for file in files:
            pending = {g.row.content_id: g.row.duration_seconds for g in group if g.parts}
            looked = self._probe(file, ChainMap(pending, known), told)
            told.add(looked.row.content_id)
            group.append(looked)
            parts = sum(len(one.parts) for one in group)
            most = self._maker.files_at_once
            if len(group) >= most or parts >= _SEGMENTS_A_FILE * most:
                yield group
                group = []
        if group:
            yield group

    def _lengths(self) -> dict[str, float]:
        """Return the contents that have segments, with their lengths (s)."""
        contents = self.library.segments.contents()
        files = self.library.files()
        return {r.content_id: r.duration_seconds for r in files if r.content_id in contents}

    def _probe(self, file: ScannedFile, known: Mapping[str, float], told: set[str]) -> _ProbedFile:
        """Return a file's row with content and length, and its parts if the content is new."""
        path = file.video.path
        try:
            content = content_id(path)
            if content in known:
                row = replace(file.row, content_id=content, duration_seconds=known[content])
                fresh = content in told and not row.subtitles_digest and not row.notes
                return _ProbedFile(row, [], () if fresh else self._captions_again(file), told=fresh)
            info = self._isolation.run(read_info, path)
            length = info.duration_seconds
            cuts = self._isolation.run(cut_video, path, self._rule, length)
        except VideoError as error:
            return _ProbedFile(replace(file.row, state="failed", reason=printable(str(error))), [])
        row = replace(file.row, content_id=content, duration_seconds=length)
        lines = self._lines.read(file.video, info)
        windows = [(None, None)] if len(cuts) == 1 else cuts
        clips = [Clip(path, window, content) for window in windows]
        return _ProbedFile(row, [SegmentJob(row, clip, lines) for clip in clips], lines)

    def _captions_again(self, file: ScannedFile) -> tuple[Caption, ...] | None:
        """Return the lines of a file whose content is known."""
        return self._lines.read_again(file.video, self._isolation.run(read_info, file.video.path))

    def _refreshed_segments(self, group: Sequence[_ProbedFile]) -> list[SegmentRow]:
        """Return segments of known contents that must tell of a file that is new or changed."""
        rows: dict[str, SegmentRow] = {}
        for looked in group:
            if not looked.told:
                segments = self.library.segments.of(looked.row.content_id)
                again = refresh_text(self._embedder, segments, looked.row, looked.lines)
                rows |= {segment.key: segment for segment in again}
        return list(rows.values())


def _marked(row: FileRow, failed: Mapping[str, str]) -> FileRow:
    """Return a row, marked where its content does not decode."""
    reason = failed.get(row.content_id)
    return row if reason is None else replace(row, state="failed", reason=reason)
