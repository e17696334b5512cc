"""The JSON documents of `vl`, field by field: the page shows them, and tests validate real ones.

A document is a class with a field `schema`; other classes are parts of documents. A field with a
default may be missing from a document; all others are always there.
"""

from typing import get_args

from docs_build.documents.answers import AnswerDocument, BatchDocument
from docs_build.documents.data import (
    CacheBuildDocument,
    CacheStatusDocument,
    CacheVerifyDocument,
    DataCheckDocument,
    PlanDocument,
)
from docs_build.documents.evaluation import (
    BenchDocument,
    CompareDocument,
    EvalDocument,
    ProbeDocument,
)
from docs_build.documents.libraries import (
    IndexDocument,
    LibraryDocument,
    LibraryFileDocument,
    LibraryFilesDocument,
    LibraryStatusDocument,
    SearchDocument,
)
from docs_build.documents.part import Part
from docs_build.documents.training import (
    CheckpointDocument,
    ProvenanceDocument,
    RecipeDocument,
    RunDocument,
    RunsDocument,
    TrainDocument,
)

DOCUMENTS: dict[str, tuple[type[Part], ...]] = {
    "Recipes and data": (PlanDocument, DataCheckDocument),
    "Feature cache": (CacheBuildDocument, CacheStatusDocument, CacheVerifyDocument),
    "Training": (
        TrainDocument,
        RunsDocument,
        RunDocument,
        RecipeDocument,
        ProvenanceDocument,
        CheckpointDocument,
    ),
    "Evaluation": (EvalDocument, CompareDocument, ProbeDocument, BenchDocument),
    "Answers": (AnswerDocument, BatchDocument),
    "Libraries": (
        IndexDocument,
        SearchDocument,
        LibraryStatusDocument,
        LibraryFilesDocument,
        LibraryFileDocument,
        LibraryDocument,
    ),
}
"""All documents, by section of the page."""


def schema_name(document: type[Part]) -> str:
    """Return the name of a document, such as `vl.answer/1`."""
    return str(get_args(document.model_fields["schema_"].annotation)[0])
