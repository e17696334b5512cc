"""The project as a whole: light imports, commands with help, changelog, floors."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest
import typer.main
from typer.testing import CliRunner

import videolatent_cli
from videolatent_cli.cli import app

ROOT = Path(videolatent_cli.__file__).parents[1]
HEAVY = ("torch", "transformers", "lancedb", "peft", "av", "matplotlib", "pyarrow")


def commands() -> list[list[str]]:
    """Every command line of the program, as words."""
    found = []
    group = typer.main.get_command(app)
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found += [[name, sub] for sub in inner] if inner else [[name]]
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import videolatent_cli.cli",
        "import videolatent_cli.recipe.reference, videolatent_cli.recipe.shipped",
        "from typer.testing import CliRunner; from videolatent_cli.cli import app; "
        "assert CliRunner().invoke(app, ['recipes', 'ls']).exit_code == 0",
        "from typer.testing import CliRunner; from videolatent_cli.cli import app; "
        "assert CliRunner().invoke(app, ['schema']).exit_code == 0",
        "from typer.testing import CliRunner; from videolatent_cli.cli import app; "
        "assert CliRunner().invoke(app, ['train', 'no.yaml']).exit_code == 2",
    ],
)
def test_light_commands_import_nothing_heavy(code: str) -> None:
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_command_has_help_and_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for words in commands():
        done = CliRunner().invoke(app, [*words, "-h"])
        assert done.exit_code == 0, words
        assert len(done.stdout) > 200, words
        assert f"vl {' '.join(words)}" in readme, words


UNTESTED = {
    **dict.fromkeys(
        (
            f"cli/{name}.py"
            for name in [
                "ask",
                "batch",
                "bench",
                "cache",
                "data",
                "demo",
                "evaluate",
                "export",
                "index",
                "library",
                "probe",
                "recipes",
                "report",
                "search",
                "train",
            ]
        ),
        "a command: tests/e2e/test_cli.py runs it as a user does",
    ),
    "runtime/machine.py": "two fields",
    "version.py": "one constant",
    "runtime/progress.py": "a type, and a function that does nothing",
}
"""Modules without a test file of their own, and why."""


def test_every_module_has_a_test_file_at_the_same_place() -> None:
    """A file is `test_MODULE.py`, or `test_MODULE_TOPIC.py` for one topic of a module."""
    package, unit = ROOT / "videolatent_cli", ROOT / "tests" / "unit"
    modules = {
        path.relative_to(package).with_suffix("").as_posix()
        for path in package.rglob("*.py")
        if not path.name.startswith("__")
    }
    files = {
        (path.parent / path.stem.removeprefix("test_")).relative_to(unit).as_posix()
        for path in unit.rglob("test_*.py")
        if "benchmarks" not in path.parts
    }
    of_module = {
        file: {name for name in modules if file == name or file.startswith(f"{name}_")}
        for file in files
    }
    assert [file for file, names in of_module.items() if not names] == []
    tested = {name for names in of_module.values() for name in names}
    assert modules - tested == {name.removesuffix(".py") for name in UNTESTED}


def test_changelog_has_an_unreleased_section() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in text


def test_embedded_weights_are_small() -> None:
    folder = ROOT / "videolatent_cli" / "model"
    total = sum(p.stat().st_size for p in folder.rglob("*.safetensors"))
    assert 0 < total <= 10_000_000


def test_functions_stay_short() -> None:
    long = []
    for path in (ROOT / "videolatent_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > 70:
                    long.append((path.name, node.name, length))
    assert not long


def test_no_imports_go_in_a_circle_not_even_for_types() -> None:
    """import-linter sees arrows between folders; this sees circles between modules."""
    imports = grimp.build_graph("videolatent_cli", exclude_type_checking_imports=False)
    arrows = TopologicalSorter(
        {name: imports.find_modules_directly_imported_by(name) for name in imports.modules}
    )
    arrows.prepare()  # raises CycleError, which names the circle
