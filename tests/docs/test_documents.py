"""The page of JSON documents against documents that commands really print and store."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from docs_build.documents import DOCUMENTS, schema_name
from docs_build.documents.part import Part
from docs_build.documents.training import StepLine
from docs_build.documents_page import documents_page, fields_of
from tests.conftest import Result
from tests.factories import recipe_text, write_jsonl
from videolatent_cli import __file__ as package_file
from videolatent_cli.pipeline.answering.answer import Answer

Run = Callable[..., Result]
ALL = {schema_name(one): one for documents in DOCUMENTS.values() for one in documents}


@pytest.fixture
def printed(vl: Run) -> Callable[..., str]:
    """Run a command and return the document that it prints."""

    def run(*arguments: str | Path, code: int = 0) -> str:
        result = vl(*arguments)
        assert result.code == code, result.stderr
        return result.stdout

    return run


def test_every_document_has_exactly_the_documented_fields(
    printed: Callable[..., str], small_folder: Path, cache_dir: Path, media: Path
) -> None:
    texts = [*_of_training(printed, small_folder, cache_dir)]
    texts += _of_answers_and_libraries(printed, cache_dir, media)
    documents = [ALL[json.loads(text)["schema"]].model_validate_json(text) for text in texts]
    documents += [
        StepLine.model_validate_json(line)
        for line in Path("runs/small/log.jsonl").read_text().splitlines()
    ]
    seen = {field for document in documents for field in _fields_set(document)}
    classes = {cls for document in ALL.values() for cls in _classes(document)}
    assert seen == {(cls.__name__, field) for cls in classes for field in cls.model_fields}


def _of_training(printed: Callable[..., str], backbone: Path, cache_dir: Path) -> Iterator[str]:
    """Yield documents of a recipe, from its plan to its evaluation."""
    recipe, cache = Path("small.yaml"), ("--cache-dir", cache_dir)
    recipe.write_text(recipe_text(backbone))
    yield printed("plan", recipe, "--json", *cache)
    yield printed("cache", "build", recipe, "--json", *cache)
    yield printed("cache", "status", recipe, "--json", *cache)
    yield printed("cache", "verify", "--json", *cache)
    yield printed("train", recipe, "--json", *cache)
    yield printed("train", recipe, "--json", *cache)  # there is nothing left to do
    yield printed("runs", "ls", "--json")
    yield printed("runs", "show", "runs/small")
    printed("export", "runs/small", "-o", "exported")
    for stored in ("runs/small/resolved.json", "runs/small/provenance.json"):
        yield Path(stored).read_text()
    for stored in ("runs/small/checkpoints/step-0000004", "exported"):
        yield Path(stored, "checkpoint.json").read_text()
    limits = ("--ablate", "latents=off", "--limit", "1", "-o", "eval.json")
    yield printed("eval", "runs/small", "--json", *limits, *cache)
    yield printed("eval", "compare", "eval.json", "eval.json", "--json", *cache)
    yield printed("probe", "runs/small", "--json", "--limit", "2", *cache)
    shape = ("--trace-tokens", "2", "--question-tokens", "3", "--answer-tokens", "1")
    yield printed("bench", recipe, "--json", "--rounds", "1", *shape)


def _of_answers_and_libraries(
    printed: Callable[..., str], cache_dir: Path, media: Path
) -> Iterator[str]:
    """Yield documents about videos of which one cannot be read."""
    cache, broken = ("--cache-dir", cache_dir), media / "val" / "000003.mp4"
    video = media / "val" / "000000.mp4"
    broken.write_bytes(b"no video")
    yield printed("data", "check", media / "val.jsonl", "--json", *cache, code=3)
    yield printed("eval", "--data", media / "val.jsonl", "--json", *cache, code=6)
    yield printed("ask", video, "Where?", "--json", "--choices", "up|down", *cache)
    questions = [{"question": "Where?", "video": name} for name in (video.name, broken.name)]
    write_jsonl(Path("q.jsonl"), questions)
    batch = ("q.jsonl", "-o", "a.jsonl", "--videos", video.parent, "--json")
    yield printed("batch", *batch, *cache, code=6)
    yield from Path("a.jsonl").read_text().splitlines()
    library = ("--library", "lib")
    yield printed("index", media, *library, "--json", *cache, code=6)
    yield printed("search", video.stem, *library, "--json")
    yield printed("library", "status", *library, "--json")
    yield printed("library", "ls", *library, "--json")
    yield printed("library", "show", video, *library)
    yield printed("library", "show", broken, *library)
    yield Path("lib/library.json").read_text()


def _fields_set(value: object) -> Iterator[tuple[str, str]]:
    """Yield (class, field) of each field that is there, nested ones too."""
    if isinstance(value, BaseModel):
        for name in value.model_fields_set:
            yield type(value).__name__, name
            yield from _fields_set(getattr(value, name))
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _fields_set(item)


def _classes(annotation: Any) -> Iterator[type[Part]]:
    """Yield the documents and parts inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
        for field in annotation.model_fields.values():
            yield from _classes(field.annotation)
    for inner in get_args(annotation):
        yield from _classes(inner)


def test_every_schema_of_the_code_is_documented() -> None:
    code = [path.read_text(encoding="utf-8") for path in Path(package_file).parent.rglob("*.py")]
    assert set(re.findall(r'"(vl\.[\w-]+/\d+)"', "".join(code))) == set(ALL)


def test_the_answer_is_the_documented_one() -> None:
    def shapes(model: type[BaseModel]) -> list[list[str]]:
        schema = model.model_json_schema()
        return sorted(sorted(one["properties"]) for one in (schema, *schema["$defs"].values()))

    assert shapes(ALL["vl.answer/1"]) == shapes(Answer)


def test_the_page_has_every_field_with_a_meaning() -> None:
    page = documents_page()
    for name, document in ALL.items():
        section = page.split(f"### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
        for path, kind, meaning in fields_of(document):
            assert meaning, path
            assert f"| `{path}` | {kind} | {meaning} |" in section
