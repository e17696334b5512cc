"""What makes the rows of a library: decode in processes of their own, encode, describe."""

from __future__ import annotations

from collections import ChainMap
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from videolatent_cli.errors import IncompatibleError, VideoError, printable
from videolatent_cli.model.source import Clip
from videolatent_cli.model.speech import Transcriber
from videolatent_cli.pipeline.library.backbone_embedder import BackboneEmbedder
from videolatent_cli.pipeline.library.embedding import LEXICAL, Embedder, full_spec, open_embedder
from videolatent_cli.pipeline.library.isolation import Isolation
from videolatent_cli.pipeline.library.lines import LineReader
from videolatent_cli.pipeline.library.local_maker import LocalMaker, Maker
from videolatent_cli.pipeline.library.ray_maker import RayMaker, SegmentWork
from videolatent_cli.pipeline.library.segment_maker import Part, prompts_of, tell_again
from videolatent_cli.pipeline.models import TrainedModel, open_model
from videolatent_cli.pipeline.ray_pool import RayPool
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library
from videolatent_cli.store.library_rows import FileRow, Manifest, SegmentRow
from videolatent_cli.video.probe import content_id, probe
from videolatent_cli.video.segments import SegmentRule, cut_video
from videolatent_cli.video.subtitles import Line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from videolatent_cli.pipeline.interrupt import StopRequest
    from videolatent_cli.pipeline.library.index import IndexRequest
    from videolatent_cli.pipeline.library.survey import FoundFile, Survey
    from videolatent_cli.pipeline.progress import Progress

_SEGMENTS_A_FILE = 8
"""Groups of files end early where they have more than this on average."""


@dataclass(frozen=True)
class _Looked:
    """A file that was probed."""

    row: FileRow
    parts: list[Part]
    """What is to be described; empty where the content is known or cannot be read."""
    lines: tuple[Line, ...] | None = ()
    """What is said; None: what its segments say already."""
    told: bool = True
    """Whether segments of the content tell of this file, or of another one that is there."""


@contextmanager
def open_indexer(
    request: IndexRequest, run: Path | None, cache_dir: Path, device: str, library: Library | None
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
    trained = open_model(run, device)
    wanted = _manifest(trained, request, embedder, spec)
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
    source = trained.source(FeatureCache(cache_dir))
    with ExitStack() as stack:
        seconds = trained.checkpoint.recipe.video.timeout_seconds
        isolation = stack.enter_context(Isolation(request.jobs, seconds))
        maker: Maker
        if request.workers is not None:
            work = (SegmentWork, trained.name, source.fingerprint, device, spec)
            maker = RayMaker(stack.enter_context(RayPool(request.workers, *work)), source)
        else:
            maker = LocalMaker(trained, source, embedder, isolation)
        lines = LineReader(isolation, transcriber)
        yield Indexer(library, request.segments, maker, embedder, isolation, lines)


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
        speech=request.speech_name,
    )


class Indexer:
    """Turns files into rows, some at a time, each part committed before the next."""

    def __init__(
        self,
        library: Library,
        rule: SegmentRule,
        maker: Maker,
        embedder: Embedder,
        isolation: Isolation,
        lines: LineReader,
    ) -> None:
        self.library = library
        self._rule = rule
        self._maker = maker
        self._embedder = embedder
        self._isolation = isolation
        self._lines = lines

    def index(self, found: Survey, stop: StopRequest, progress: Progress) -> list[FileRow]:
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
            self.library.segments.replace(self._told_again(group))
            rows = [_marked(looked.row, made.failed) for looked in group]
            self.library.put_files(rows)
            known |= {r.content_id: r.duration_seconds for r in rows if r.state == "indexed"}
            done += rows
            progress("index", len(done), len(found.todo))
            check()
        return done

    def _mark_pending(self, files: Sequence[FoundFile]) -> None:
        """Tell other processes of new files; changed ones stay as they are until they are read."""
        known = {row.key for row in self.library.files()}
        new = [file.row for file in files if file.row.key not in known]
        self.library.put_files([replace(row, state="pending") for row in new])

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

    def _look(self, file: FoundFile, known: Mapping[str, float], told: set[str]) -> _Looked:
        """Return a file's row with content and length, and its parts if the content is new."""
        path = file.video.path
        try:
            content = content_id(path)
            if content in known:
                row = replace(file.row, content_id=content, duration_seconds=known[content])
                fresh = content in told and not row.beside and not row.notes
                return _Looked(row, [], () if fresh else self._lines_again(file), told=fresh)
            info = self._isolation.run(probe, path)
            length = info.duration_seconds
            cuts = self._isolation.run(cut_video, path, self._rule, length)
        except VideoError as error:
            return _Looked(replace(file.row, state="failed", reason=printable(str(error))), [])
        row = replace(file.row, content_id=content, duration_seconds=length)
        lines = self._lines.read(file.video, info)
        windows = [(None, None)] if len(cuts) == 1 else cuts
        clips = [Clip(path, window, content) for window in windows]
        return _Looked(row, [Part(row, clip, lines) for clip in clips], lines)

    def _lines_again(self, file: FoundFile) -> tuple[Line, ...] | None:
        """Return the lines of a file whose content is known."""
        return self._lines.read_again(file.video, self._isolation.run(probe, file.video.path))

    def _told_again(self, group: Sequence[_Looked]) -> list[SegmentRow]:
        """Return segments of known contents that must tell of a file that is new or changed."""
        rows: dict[str, SegmentRow] = {}
        for looked in group:
            if not looked.told:
                segments = self.library.segments.of(looked.row.content_id)
                again = tell_again(self._embedder, segments, looked.row, looked.lines)
                rows |= {segment.key: segment for segment in again}
        return list(rows.values())


def _marked(row: FileRow, failed: Mapping[str, str]) -> FileRow:
    """Return a row, marked where its content does not decode."""
    reason = failed.get(row.content_id)
    return row if reason is None else replace(row, state="failed", reason=reason)
