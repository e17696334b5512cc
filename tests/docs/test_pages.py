"""Generated pages against their sources, and the links of the site."""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import pytest
import typer.main
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ruamel.yaml import YAML

from docs_build.__main__ import PAGES, ROOT, main, stale_pages
from docs_build.markdown import one_line
from docs_build.site import site_problems
from tests.conftest import Result
from videolatent_cli import errors
from videolatent_cli.cli import app
from videolatent_cli.data.questions import AskedQuestion
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.recipe import Recipe
from videolatent_cli.store.feature_rows import SCHEMA
from videolatent_cli.store.library_rows import FILES, VERSION, segments_schema
from videolatent_cli.training.loop import StepResult

Run = Callable[..., Result]
Field = tuple[str, str, FieldInfo]
"""Heading of its section, key path and definition of a field of the recipe."""


def page(name: str) -> str:
    return (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What follows a heading, up to the next one."""
    return re.split(r"\n#+ ", text.split(f"# {heading}\n", 1)[1])[0]


# --- commands


def commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for inner, below in getattr(command, "commands", {}).items():
        yield from commands(f"{name} {inner}", below)


@pytest.mark.parametrize(("name", "command"), list(commands("vl", typer.main.get_command(app))))
def test_every_command_and_option_is_on_its_page(name: str, command: Any) -> None:
    text = section(page("cli.md"), name if name != "vl" else "Global options")
    summary = inspect.cleandoc(command.help).split("\n\n")[0]
    assert name == "vl" or one_line(summary) in text
    params = sorted(command.params, key=lambda param: param.param_type_name)  # arguments first
    lines = re.findall(r"^- `([^`]+)`: (.+)$", text, re.M)
    for param, (spelling, meaning) in zip(params, lines, strict=True):
        if param.param_type_name == "option":
            flags = {word.strip(",") for word in spelling.split() if word.startswith("-")}
            assert flags == {*param.opts, *param.secondary_opts}
        assert meaning.startswith(one_line(param.help or ""))
        assert ("Required." in meaning) == param.required
        if param.envvar:
            assert f"Environment variable: `{param.envvar}`." in meaning
        if param.default not in (None, "") and param.default is not False:
            assert f"Default: `{param.default}`." in meaning
    assert "-h" in page("cli.md").split("\n## ")[0]


def test_every_exit_code_is_on_the_page() -> None:
    rows = re.findall(r"^\| `(\d+)` \| (.+) \|$", section(page("cli.md"), "Exit codes"), re.M)
    codes = {int(code): meaning for code, meaning in rows}
    classes = [e for e in vars(errors).values() if isinstance(e, type) and hasattr(e, "exit_code")]
    assert set(codes) == {0, 1, 75, 130, 141} | {error.exit_code for error in classes}
    for error in classes:
        if error.exit_code not in (1, 75):
            assert one_line(error.__doc__.split("\n\n")[0]) in codes[error.exit_code]


def test_every_environment_variable_is_on_the_page() -> None:
    text = section(page("cli.md"), "Environment variables")
    for path in (ROOT / "videolatent_cli").rglob("*.py"):
        for name in re.findall(r"\bVL_[A-Z]+\b", path.read_text(encoding="utf-8")):
            assert f"| `{name}` |" in text


# --- recipes


def recipe_fields(model: type[BaseModel], heading: str = "", prefix: str = "") -> Iterator[Field]:
    """Every field of the recipe's classes, nested sections and variants included."""
    for name, field in model.model_fields.items():
        yield heading, f"{prefix}{name}", field
        models = list(models_of(field.annotation))
        for inner in models:
            kind = f" (type: {inner.model_fields['type'].default})" if len(models) > 1 else ""
            yield from recipe_fields(inner, f"{prefix}{name}{kind}", f"{prefix}{name}.")


def models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_of(inner)


def test_every_field_of_the_recipe_is_on_the_page() -> None:
    text = page("recipe.md")
    fields = list(recipe_fields(Recipe))
    assert {"backbone.lora.rank", "data.questions_per_video"} <= {path for _, path, _ in fields}
    for heading, path, field in fields:
        lines = section(text, heading or "Recipe reference").splitlines()
        (line,) = [one for one in lines if one.startswith(f"- `{path}` (")]
        kind, meaning = line.removeprefix(f"- `{path}` (").split("): ", 1)
        assert meaning.strip(), path
        if not list(models_of(field.annotation)):
            check_kind(field, kind)
    assert text.count("\n- `") == len(fields)


def check_kind(field: FieldInfo, kind: str) -> None:
    """Check values, bounds and default of a plain field."""
    assert ("null" in kind) == (NoneType in get_args(field.annotation))
    if get_origin(field.annotation) is Literal:
        for value in get_args(field.annotation):
            assert f"`{value}`" in kind or f'`"{value}"`' in kind
    for limit in field.metadata:
        match limit:
            case Ge(bound):
                assert f"≥ {bound}" in kind
            case Gt(bound):
                assert f"> {bound}" in kind
            case Le(bound):
                assert f"≤ {bound}" in kind
            case Lt(bound):
                assert f"< {bound}" in kind
            case MinLen(1):
                assert "not empty" in kind
            case _:
                assert getattr(limit, "discriminator", None), limit
    if field.get_default() is PydanticUndefined:
        assert "required" in kind
    else:
        (default,) = re.findall(r"default `(.*?)`", kind)
        assert YAML(typ="safe").load(default) == field.get_default()


def test_schema_prints_the_page_and_its_parts(vl: Run) -> None:
    assert vl("schema", "--format", "md").stdout == page("recipe.md")
    lora = vl("schema", "backbone.lora", "--format", "md").stdout
    assert lora.strip() in page("recipe.md")
    assert lora.startswith("### backbone.lora\n")
    rank = vl("schema", "backbone.lora.rank", "--format", "md").stdout
    assert rank.startswith("- `backbone.lora.rank` (integer ≥ 1, default `64`): ")
    assert '"minimum": 1' in vl("schema", "backbone.lora.rank").stdout
    both = vl("schema", "data.questions_per_video", "--format", "md").stdout
    assert re.findall(r"type: (\w+)", both) == ["eventworld", "eventworld_stream"]
    below = vl("schema", "backbone.lora.rank.x")
    assert below.code == 2
    assert "no key 'backbone.lora.rank.x'; at 'x' a value has no keys" in below.stderr


# --- file formats, which are written by hand


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("Triplets", Triplet.model_fields),
        ("Questions", AskedQuestion.model_fields),
        ("Run folder", StepResult.__dataclass_fields__),
        ("Feature cache", [*SCHEMA.names, "payload"]),
        ("Library", [*FILES.names, *segments_schema(1).names]),
    ],
)
def test_every_column_is_on_the_page_of_file_formats(heading: str, names: Any) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (?!.*/)", section(page("file-formats.md"), heading), re.M)
    assert sorted(rows) == sorted(names)
    assert f"files_{VERSION}" in page("file-formats.md")


# --- the site


def test_generated_pages_are_up_to_date() -> None:
    assert not stale_pages(), "run: make docs"
    assert {"cli.md", "recipe.md", "json-documents.md"} == {Path(name).name for name in PAGES}


def test_a_stale_page_is_reported_and_then_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("docs_build.__main__.ROOT", tmp_path)
    monkeypatch.setattr("docs_build.__main__.site_problems", lambda _: [])
    (tmp_path / "docs" / "reference").mkdir(parents=True)
    assert main(check=True)[0] == "docs/reference/cli.md: is not up to date; run: make docs"
    assert not main(check=False)
    assert not main(check=True)


def test_all_links_of_the_site_resolve() -> None:
    assert not site_problems(ROOT)


def test_links_that_lead_nowhere_are_reported(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    nav = 'exclude_docs = "old.md"\nnav = [{A = "a.md"}, {B = [{C = "c.md"}]}]\n'
    (tmp_path / "zensical.toml").write_text(f"[project]\n{nav}")
    (docs / "a.md").write_text(
        "# A\n\n## Two `words`\n\n## Two words\n\n"
        "[1](b.md) [2](#two-words_1) [3](b.md#none) [4](x.json) [5](../out.md) `[6](y.md)`\n"
        "[7](https://example.org) ![8](no.png)\n\n```\n# [9](z.md)\n```\n"
    )
    (docs / "b.md").write_text("# B\n")
    (docs / "old.md").write_text("[1](gone.md)\n")
    assert site_problems(tmp_path) == [
        "zensical.toml: nav names a missing page: c.md",
        "zensical.toml: nav lacks b.md",
        "docs/a.md: link to b.md#none: no such heading",
        "docs/a.md: link to x.json: no such file",
        "docs/a.md: link to ../out.md: leaves docs/, so the site lacks it",
        "docs/a.md: link to no.png: no such file",
    ]
