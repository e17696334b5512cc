"""Libraries: batch answers against one by one, search over many segments, re-index, threshold."""

import shutil
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.measure import compare, table
from videolatent_cli.data.eventworld.files import render_dataset
from videolatent_cli.data.eventworld.triplets import eventworld_triplets
from videolatent_cli.data.eventworld.world import SHAPES
from videolatent_cli.data.questions import AskedQuestion
from videolatent_cli.data.records import write_records
from videolatent_cli.data.triplets import Triplet, read_triplets
from videolatent_cli.pipeline.answering.answerer import (
    Answerer,
    AnswerOptions,
    Question,
    load_clip,
)
from videolatent_cli.pipeline.batch import BatchRequest, answer_batch
from videolatent_cli.pipeline.library.embedders.lexical import (
    DIM,
    NAME,
    LexicalEmbedder,
    coverage,
    lexical_vectors,
)
from videolatent_cli.pipeline.library.index import index
from videolatent_cli.pipeline.library.scan import IndexRequest
from videolatent_cli.pipeline.runs.trained_model import open_model
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.store import FeatureCache
from videolatent_cli.store.library import Library, writing
from videolatent_cli.store.library_rows import Manifest, SegmentRow
from videolatent_cli.video.clip import Clip

VIDEOS, QUESTIONS = 24, 10
SEGMENTS, QUERIES = 100_000, 60
FILES = 10_000
CALIBRATION_VIDEOS, LIBRARY_VIDEOS = 120, 6
THRESHOLD = LexicalEmbedder.default_min_score


def run() -> str:
    """Measure and return the section."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        faster = _batch(folder)
        seconds, recall, build = _search(folder)
        first, again = _reindex(folder)
    found, lost, best = _threshold()
    bars = [
        [
            f"answers per second, {QUESTIONS} questions a video, over one by one",
            ">= 5",
            f"{faster:.1f}",
        ],
        [f"search of {SEGMENTS:,} segments, p50 (ms)", "< 50", f"{1000 * seconds:.0f}"],
        ["its recall of the ten nearest vectors", ">= 0.95", f"{recall:.3f}"],
        [f"re-index of {FILES:,} unchanged files (s)", "< 10", f"{again:.1f}"],
    ]
    return (
        "## Libraries\n\n"
        f"`python -m benchmarks library`. One by one: the model stays loaded, features are cached. "
        f"Search: hybrid, in the process; the index was built in {build:.0f} s. The first index of "
        f"the {FILES:,} files, all copies of one, took {first:.0f} s.\n\n"
        + table(["bar", "goal", "measured"], bars)
        + f"\n\nThreshold of `not_found`, {THRESHOLD:g}: of the questions about a video of the "
        f"library {found:.2f} find a moment that scores as much, of those about objects that no "
        f"video of it shows {lost:.2f} ({CALIBRATION_VIDEOS} videos of `val` in libraries of "
        f"{LIBRARY_VIDEOS}, true descriptions; balanced accuracy is best at {best:.2f})."
    )


def _batch(folder: Path) -> float:
    """Return how many times as fast a batch answers as one question after the other."""
    written = render_dataset(folder / "world", {"val": VIDEOS}, ["all"], QUESTIONS)["val"]
    triplets = read_triplets(written)
    asked = [AskedQuestion(id=t.id, question=t.question, video=t.video) for t in triplets]
    write_records(folder / "q.jsonl", asked)
    cache = folder / "cache"
    trained = open_model(None, "cpu")
    source = trained.source(FeatureCache(cache))
    one = Answerer(trained, AnswerOptions())

    def in_batch() -> None:
        (folder / "a.jsonl").unlink(missing_ok=True)
        request = BatchRequest(folder / "q.jsonl", folder / "a.jsonl", folder / "world")
        answer_batch(request, Machine(cache, "cpu"))

    def one_by_one() -> None:
        for triplet in triplets:
            clip = Clip(folder / "world" / triplet.video)
            one.answer([(load_clip(source, clip), [Question(triplet.id, triplet.question)])])

    in_batch()
    costs = compare({"batch": in_batch, "one by one": one_by_one}, 3)
    return costs["one by one"].wall_seconds / costs["batch"].wall_seconds


def _texts(count: int) -> list[str]:
    """Return descriptions like those of EventWorld videos, each of its own."""
    worlds = eventworld_triplets("val", range(400), ["describe_events"], 1)
    events = sorted({e for _, found in worlds for e in found[0].answer.split(" ; ")})
    random = np.random.default_rng(0)
    chosen = random.integers(0, len(events), (count, 4))
    return [f"{' ; '.join(events[i] for i in row)}. clip {n}" for n, row in enumerate(chosen)]


def _search(folder: Path) -> tuple[float, float, float]:
    """Return median seconds of a search, recall@10 by vectors, and seconds to build the index."""
    texts = _texts(SEGMENTS)
    vectors = lexical_vectors(texts)
    manifest = Manifest("s", "f", "fixed:10s", "", NAME, "lexical", DIM, {})
    with writing(folder / "large"):
        library = Library.create(folder / "large", manifest)
        for start in range(0, SEGMENTS, 5000):
            part = range(start, min(start + 5000, SEGMENTS))
            library.segments.put(
                [
                    SegmentRow(f"{i:032x}", 0.0, 4.0, True, texts[i], "", texts[i], vectors[i])
                    for i in part
                ]
            )
        started = time.perf_counter()
        library.segments.finish()
        build = time.perf_counter() - started
    assert len(library.segments) == SEGMENTS
    random = np.random.default_rng(1)
    seconds, recalls = [], []
    for index_ in random.integers(0, SEGMENTS, QUERIES):
        query = " ".join(texts[index_].split(" ; ")[:2])
        vector = lexical_vectors([query])[0]
        started = time.perf_counter()
        library.segments.search(10, vector, query)
        seconds.append(time.perf_counter() - started)
        scores = vectors @ vector
        tenth = np.sort(scores)[-10]
        hits = library.segments.search(10, vector)
        near = [hit.segment for hit in hits] + [one for hit in hits for one in hit.near_duplicates]
        found = sorted((float(one.vector @ vector) for one in near), reverse=True)[:10]
        recalls.append(sum(score >= tenth - 1e-6 for score in found) / 10)
    return statistics.median(seconds), statistics.fmean(recalls), build


def _reindex(folder: Path) -> tuple[float, float]:
    """Return seconds of the first and of the second index of many small files."""
    many = folder / "many"
    many.mkdir()
    for number in range(FILES):
        shutil.copy(folder / "world/val/000000.mp4", many / f"{number:05d}.mp4")
    request = IndexRequest((many,), folder / "library")
    machine = Machine(folder / "cache", "cpu")
    first = index(request, machine).seconds
    return first, index(request, machine).seconds


def _threshold() -> tuple[float, float, float]:
    """Return the share of questions above the threshold, present and absent, and the best one."""
    pairs = eventworld_triplets("val", range(CALIBRATION_VIDEOS), ["describe", "all"], 30)
    texts = [" . ".join(t.answer for t in found[:2]) for _, found in pairs]
    present, absent = [], []
    for start in range(0, CALIBRATION_VIDEOS, LIBRARY_VIDEOS):
        inside = range(start, start + LIBRARY_VIDEOS)
        shown = " . ".join(texts[i] for i in inside)
        for number, (_, found) in enumerate(pairs):
            for triplet in found[3:]:
                objects = _objects(triplet)
                if not objects:
                    continue
                score = max(coverage(triplet.question, texts[i]) for i in inside)
                if number in inside:
                    present.append(score)
                elif not any(name in shown for name in objects):
                    absent.append(score)
    scores = np.linspace(0, 1, 101)
    high, low = np.array(present), np.array(absent)
    balanced = [((high >= s).mean() + (low < s).mean()) / 2 for s in scores]
    best = float(scores[int(np.argmax(balanced))])
    return (
        float((high >= THRESHOLD).mean()),
        float((low >= THRESHOLD).mean()),
        best,
    )


def _objects(triplet: Triplet) -> list[str]:
    """Return the objects that a question names, such as `red circle`."""
    words = triplet.question.strip("?").split()
    pairs = pairwise(words)
    return [f"{a} {b}" for a, b in pairs if b in SHAPES and a not in ("the", "a")]
