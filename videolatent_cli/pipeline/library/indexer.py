"""Index files into a library: probe, cut, decode, encode, describe, and commit in groups."""

from __future__ import annotations

from collections import ChainMap
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from loguru import logger

from videolatent_cli.errors import IncompatibleError, VideoError, printable
from videolatent_cli.pipeline.library.embedders.backbone import BackboneEmbedder
from videolatent_cli.pipeline.library.embedders.base import (
    LEXICAL,
    Embedder,
    absolute_spec,
    open_embedder,
)
from videolatent_cli.pipeline.library.local_builder import LocalBuilder, SegmentBuilder
from videolatent_cli.pipeline.library.ray_builder import RayBuilder, SegmentWork
from videolatent_cli.pipeline.library.segment_builder import (
    SegmentJob,
    description_prompts,
    refresh_text,
)
from videolatent_cli.pipeline.library.segmenting import SegmentRule, cut_video
from videolatent_cli.pipeline.library.transcripts import Caption, Transcriber, TranscriptReader
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.runtime.isolation import Isolation
from videolatent_cli.runtime.ray_pool import RayPool
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library
from videolatent_cli.store.library_rows import FileRow, Manifest, SegmentRow
from videolatent_cli.video.clip import Clip
from videolatent_cli.video.content import content_id
from videolatent_cli.video.info import read_info

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from videolatent_cli.pipeline.library.scan import IndexRequest, Scan, ScannedFile
    from videolatent_cli.runtime.interrupt import StopRequest
    from videolatent_cli.runtime.machine import Machine
    from videolatent_cli.runtime.progress import Progress

_SEGMENTS_PER_FILE = 8
"""Average number of segments per file above which a group ends before it has all its files."""


@dataclass(frozen=True)
class _ProbedFile:
    """A file with its content id and length, and the work that it needs."""

    row: FileRow
    jobs: list[SegmentJob]
    """Segments to build; empty if the content is known or the file cannot be read."""
    captions: tuple[Caption, ...] | None = ()
    """Captions of the file; None: the known segments keep their transcript."""
    up_to_date: bool = True
    """Whether the search text of known segments already covers this file or a copy of it."""


@contextmanager
def open_indexer(
    request: IndexRequest, rule: SegmentRule, machine: Machine, library: Library | None
) -> Iterator[Indexer]:
    """Check the contract of a library, or make a new one if it is None, and yield its indexer.

    Raises:
        IncompatibleError: If the library was made with other settings.
    """
    library_spec = library.manifest.embedder_spec if library is not None else LEXICAL
    spec = absolute_spec(request.embedder or library_spec)
    embedder = open_embedder(spec)
    speech = library.manifest.speech if library is not None else request.speech_name
    transcriber = Transcriber(Path(speech)) if speech else None
    trained = open_model(request.run, machine.device)
    wanted = _manifest(trained, request, rule, embedder, spec)
    # Such an embedder reads the cached features, which are those of the describing run.
    if isinstance(embedder, BackboneEmbedder) and embedder.fingerprint != wanted.fingerprint:
        raise IncompatibleError(
            f"--embedder: {spec} encodes videos differently from {trained.name}, which describes "
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
        timeout_seconds = trained.checkpoint.recipe.video.timeout_seconds
        isolation = stack.enter_context(Isolation(request.jobs, timeout_seconds))
        builder: SegmentBuilder
        if request.workers is not None:
            work = (SegmentWork, trained.name, source.fingerprint, machine.device, spec)
            builder = RayBuilder(stack.enter_context(RayPool(request.workers, *work)), source)
        else:
            builder = LocalBuilder(trained, source, embedder, isolation)
        reader = TranscriptReader(isolation, transcriber)
        yield Indexer(library, rule, builder, embedder, isolation, reader)


def _manifest(
    trained: TrainedModel,
    request: IndexRequest,
    rule: SegmentRule,
    embedder: Embedder,
    spec: str,
) -> Manifest:
    """Return the manifest that a new library of this request has."""
    model = trained.checkpoint.recipe.backbone.model
    return Manifest(
        sampling=trained.checkpoint.sampling.hash,
        fingerprint=trained.source().fingerprint,
        segments=rule.name,
        descriptions=f"{model}: {' '.join(description_prompts(trained))}",
        embedder=embedder.name,
        embedder_spec=spec,
        dim=embedder.dim,
        model={"backbone": model, "run": trained.name},
        speech=request.speech_name,
    )


class Indexer:
    """Writes files to a library in groups; each group is committed before the next is built."""

    def __init__(
        self,
        library: Library,
        rule: SegmentRule,
        builder: SegmentBuilder,
        embedder: Embedder,
        isolation: Isolation,
        reader: TranscriptReader,
    ) -> None:
        self.library = library
        self._rule = rule
        self._builder = builder
        self._embedder = embedder
        self._isolation = isolation
        self._reader = reader

    def index(self, scanned: Scan, stop: StopRequest, progress: Progress) -> list[FileRow]:
        """Index the new and changed files of a scan and return their rows."""
        self.library.set_roots(scanned.roots)
        # Removes segments without a file, which an earlier, killed run can have left.
        self.library.sweep()
        self._mark_pending(scanned.todo)
        lengths, up_to_date = self._known_lengths(), set(scanned.up_to_date)
        done: list[FileRow] = []

        def check_stop() -> None:
            stop.check(f"{len(done)} files are indexed", "the same command")

        for group in self._probed_groups(scanned.todo, lengths, up_to_date):
            jobs = [job for probed in group for job in probed.jobs]
            result = self._builder.build(jobs, check_stop)
            # Segments are committed before files: a file that counts as indexed has its segments.
            self.library.segments.put(result.segments)
            self.library.segments.replace(self._refreshed_segments(group))
            rows = [_with_failure(probed.row, result.failed) for probed in group]
            self.library.put_files(rows)
            # Copies among the remaining files need no decoding from here on.
            lengths |= {r.content_id: r.duration_seconds for r in rows if r.state == "indexed"}
            done += rows
            progress("index", len(done), len(scanned.todo))
            check_stop()
        return done

    def _mark_pending(self, files: Sequence[ScannedFile]) -> None:
        """Add new files as pending; changed files keep their rows until they are read."""
        known = {row.key for row in self.library.files()}
        new = [file.row for file in files if file.row.key not in known]
        self.library.put_files([replace(row, state="pending") for row in new])

    def _known_lengths(self) -> dict[str, float]:
        """Return the lengths (s) of the contents that have segments, by content id."""
        contents = self.library.segments.contents()
        files = self.library.files()
        return {r.content_id: r.duration_seconds for r in files if r.content_id in contents}

    def _probed_groups(
        self, files: Sequence[ScannedFile], lengths: dict[str, float], up_to_date: set[str]
    ) -> Iterator[list[_ProbedFile]]:
        """Yield probed files in groups that are committed together.

        The caller adds the contents of each group to `lengths` before it asks for the next.
        """
        group: list[_ProbedFile] = []
        for file in files:
            # A copy of a file in the same group must not be built twice.
            in_group = {p.row.content_id: p.row.duration_seconds for p in group if p.jobs}
            probed = self._probe(file, ChainMap(in_group, lengths), up_to_date)
            up_to_date.add(probed.row.content_id)
            group.append(probed)
            num_jobs = sum(len(member.jobs) for member in group)
            max_files = self._builder.files_at_once
            # The second limit keeps groups of long files small: these have many segments each.
            if len(group) >= max_files or num_jobs >= _SEGMENTS_PER_FILE * max_files:
                yield group
                group = []
        if group:
            yield group

    def _probe(
        self, file: ScannedFile, lengths: Mapping[str, float], up_to_date: set[str]
    ) -> _ProbedFile:
        """Return a file's row with content id and length, and its jobs if the content is new."""
        path = file.video.path
        try:
            content = content_id(path)
            if content in lengths:
                row = replace(file.row, content_id=content, duration_seconds=lengths[content])
                # A plain copy of a file that is still there adds no subtitles and no notes.
                covered = content in up_to_date and not row.subtitles_digest and not row.notes
                captions = () if covered else self._reread_captions(file)
                return _ProbedFile(row, [], captions, up_to_date=covered)
            info = self._isolation.run(read_info, path)
            length = info.duration_seconds
            if info.remarks:
                logger.info("{}: {}", printable(path), "; ".join(info.remarks))
            cuts = self._isolation.run(cut_video, path, self._rule, length)
        except VideoError as error:
            return _ProbedFile(replace(file.row, state="failed", reason=printable(str(error))), [])
        row = replace(file.row, content_id=content, duration_seconds=length)
        captions = self._reader.read(file.video, info)
        # A single segment is stored as the whole video: training and `vl ask FILE` then share
        # its cached features.
        windows = [(None, None)] if len(cuts) == 1 else cuts
        clips = [Clip(path, window, content) for window in windows]
        return _ProbedFile(row, [SegmentJob(row, clip, captions) for clip in clips], captions)

    def _reread_captions(self, file: ScannedFile) -> tuple[Caption, ...] | None:
        """Return the captions of a file with known content; None: they have not changed."""
        return self._reader.reread(file.video, self._isolation.run(read_info, file.video.path))

    def _refreshed_segments(self, group: Sequence[_ProbedFile]) -> list[SegmentRow]:
        """Return the known segments whose search text changes with a new or changed file."""
        segments_by_key: dict[str, SegmentRow] = {}
        for probed in group:
            if not probed.up_to_date:
                segments = self.library.segments.of(probed.row.content_id)
                refreshed = refresh_text(self._embedder, segments, probed.row, probed.captions)
                segments_by_key |= {segment.key: segment for segment in refreshed}
        return list(segments_by_key.values())


def _with_failure(row: FileRow, failed: Mapping[str, str]) -> FileRow:
    """Return a row, marked as failed if its content could not be decoded."""
    reason = failed.get(row.content_id)
    return row if reason is None else replace(row, state="failed", reason=reason)
