"""Every command in README.md and docs/ runs here, or stands in NOT_RUN with its reason.

Commands are the lines of fenced `sh` blocks and the lines after `$ ` in `console` blocks. The
commands of a page run from top to bottom in a new folder. The text below a command in a `console`
block must be what the command prints; a line `...` stands for any lines. A block with a title is a
file in that folder:

    ```json title="questions.jsonl"

`VL_UPDATE_DOCS=1 pytest tests/test_docs_commands.py` writes what commands print into the pages.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import rich.console
import rich.table
from loguru import logger
from typer.testing import CliRunner

import videolatent_cli
from tests.families import write_family
from videolatent_cli.cli import app
from videolatent_cli.data.eventworld.files import render_dataset

ROOT = Path(videolatent_cli.__file__).parents[1]
HOME = "/home/you"
"""The folder in which the commands run, as the pages name it."""
WIDTH = 100
"""Columns of the terminal that the pages show."""
UPDATE = bool(os.environ.get("VL_UPDATE_DOCS"))

NOT_RUN = (  # pages, commands, reason
    ("*", "make *", "builds an environment or takes minutes; CI runs it"),
    ("*", "source *", "changes the shell that reads it"),
    ("*", "pip install *", "installs packages"),
    ("*", "python -m benchmarks*", "takes minutes to hours"),
    ("*", "vl demo*", "takes minutes; test_demo.py runs a smaller one"),
    ("docs/how-to/scale.md", "vl train my.yaml --nproc 4*", "needs four GPUs"),
    ("docs/how-to/scale.md", "torchrun *", "needs two machines"),
    ("docs/how-to/scale.md", "sbatch *", "needs Slurm"),
    ("docs/how-to/scale.md", "vl * --engine ray *", "needs a Ray cluster; test_ray.py has one"),
    ("docs/*embedded?model.md", "vl *", "takes hours of training"),
    ("docs/lab-notes.md", "vl *", "takes hours of training"),
    ("docs/reference/cli.md", "vl *", "synopsis and examples of the help, on the reader's files"),
)
"""Patterns of commands that do not run. Those of `vl` are parsed all the same."""
SMALLER = {
    "train": ("training.max_steps=2", "training.gradient_accumulation_steps=1"),
    "plan": (),
    "bench": ("--rounds", "1", "--trace-tokens", "8", "--question-tokens", "8"),
    "probe": ("--limit", "2"),
    "report": ("--limit", "2", "--samples", "1"),
    "eval": ("--limit", "2"),
}
"""Arguments that make a long command short. Its output is not compared."""
SMALL_WORLD = (
    "data.num_videos=4",
    "data.num_eval_videos=2",
    "data.questions_per_video=4",
)
STAND_INS = {
    "Qwen/Qwen2.5-VL-3B-Instruct": "model",
    "Qwen/Qwen2.5-VL-7B-Instruct": "model",
    "~/Videos": "videos",
}
"""Words of commands that need a download or a home folder, and what takes their place."""
EXIT_CODES: dict[str, int] = {}
"""Commands that a page shows failing."""
PYTHON = ("README.md", "export.md")
"""Pages whose Python blocks run too; examples of the Python API have tests of their own."""
SLOW: tuple[str, ...] = ()
"""Pages that take longer than a few seconds."""


@dataclass
class Command:
    """A command of a page, and the lines of the page that show what it prints."""

    text: str
    first: int
    """Index of the first line that is shown; the command stands above it."""
    shown: list[str] = field(default_factory=list)
    is_python: bool = False


@dataclass(frozen=True)
class Page:
    """The commands and the files of a page."""

    path: Path
    commands: list[Command]
    files: dict[str, str]


def read_page(path: Path) -> Page:
    """Return the commands and files of the fenced blocks of a page."""
    page = Page(path, [], {})
    lines = path.read_text(encoding="utf-8").splitlines()
    fence = 0
    for index, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if not fence:
            fence = index + 1
            continue
        words, block = lines[fence - 1], lines[fence:index]
        title = re.search(r'title="([^"]+)"', words)
        if title:
            page.files[title[1]] = "\n".join(block) + "\n"
        elif re.match(r"```(sh|bash|shell)\b", words):
            page.commands.extend(_of_script(block, fence))
        elif words.startswith("```console"):
            page.commands.extend(_of_console(block, fence))
        elif words == "```python" and path.name in PYTHON:
            page.commands.append(Command("\n".join(block), index, is_python=True))
        fence = 0
    assert not fence, f"{path}: a fence is not closed"
    return page


def _of_script(block: list[str], start: int) -> Iterator[Command]:
    """Yield the commands of a block of commands only."""
    text = ""
    for index, line in enumerate(block):
        text += line.removesuffix("\\").strip() + " "
        if not line.endswith("\\"):
            if text.strip() and not text.startswith("#"):
                yield Command(text.strip(), start + index + 1)
            text = ""


def _of_console(block: list[str], start: int) -> Iterator[Command]:
    """Yield the commands of a block of commands after `$ ` and what each prints."""
    command: Command | None = None
    for index, line in enumerate(block):
        if line.startswith("$ "):
            if command:
                yield command
            command = Command(line[2:], start + index + 1)
        elif command and command.text.endswith("\\"):
            command.text = command.text.removesuffix("\\") + line.strip()
            command.first = start + index + 1
        else:
            assert command, f"line {start + index}: output without a command"
            command.shown.append(line)
    if command:
        yield command


def page_files() -> list[str]:
    """Return the pages that people read, below the root."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    return [path.relative_to(ROOT).as_posix() for path in [ROOT / "README.md", *docs]]


def reason_not_to_run(name: str, command: str) -> str | None:
    """Return why a command is not run, or None."""
    for page, pattern, reason in NOT_RUN:
        if fnmatchcase(name, page) and fnmatchcase(command, pattern):
            return reason
    return None


def changed(words: list[str]) -> list[str]:
    """Return a command in the size and with the names that a test can run."""
    words = [STAND_INS.get(word, word) for word in words]
    name = words[0]
    if (name == "eval" and words[1] == "compare") or name not in SMALLER:
        return words
    words += SMALLER[name]
    recipe = Path(words[1])
    if name in ("train", "plan", "bench") and "eventworld" in recipe.read_text(encoding="utf-8"):
        words += SMALL_WORLD
    return words


def run_vl(text: str, place: Path) -> tuple[int, str, bool]:
    """Run a `vl` command; return its exit code, what a terminal shows, and whether it was changed.

    `NAME=value` before and `> FILE` after the command work as in a shell.
    """
    words = shlex.split(text, comments=True)
    settings = dict(word.split("=", 1) for word in words[: words.index("vl")])
    words = words[words.index("vl") + 1 :]
    target = None
    if ">" in words:
        target = words[words.index(">") + 1]
        words = words[: words.index(">")]
    smaller = changed(words)
    done = CliRunner().invoke(app, smaller, env=settings)
    logger.remove()
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if target:
        Path(target).write_text(done.stdout, encoding="utf-8")
    shown = done.stderr if target else done.output
    return done.exit_code, shown.replace(str(place), HOME), smaller != words


def parses(text: str) -> bool:
    """Return whether `vl` knows the command and its options; other programs are not asked."""
    words = shlex.split(text, comments=True)
    if words[0] != "vl" or "[OPTIONS]" in words:
        return True
    done = CliRunner().invoke(app, [*words[1:], "-h"])
    return done.exit_code == 0


VOLATILE = (
    (r"\b[0-9a-f]{8,64}\b", "HASH"),
    (r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d+)?)?)?", "DATE"),
    (r"\b\d+(\.\d+)?(?= (ms|s|GB|MB)\b)", "N"),
    (r"\(attention \d\.\d+\)", "(attention N)"),
    (r'("score"|_seconds"|"decode"|"features"|"prefill"|"latents"|"generate"): [\d.e-]+', r"\1: N"),
)


def comparable(text: str) -> str:
    """Return a text without what differs from run to run: hashes, dates, times, sizes."""
    for pattern, name in VOLATILE:
        text = re.sub(pattern, name, text)
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")


def agrees(shown: list[str], printed: str) -> bool:
    """Return whether a page shows what was printed; a line `...` stands for any lines."""
    parts = [re.escape(comparable(part)) for part in re.split(r"(?m)^ *\.\.\.$", "\n".join(shown))]
    return re.fullmatch(r"\n?[\s\S]*?\n?".join(parts), comparable(printed)) is not None


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Print tables as a terminal of WIDTH columns in the folder HOME shows them."""
    real_console, add_row = rich.console.Console, rich.table.Table.add_row

    def narrow(**options: object) -> rich.console.Console:
        return real_console(**(options | {"width": WIDTH}))

    def at_home(table: rich.table.Table, *cells: Any, **options: Any) -> None:
        texts = (c.replace(str(tmp_path), HOME) if isinstance(c, str) else c for c in cells)
        add_row(table, *texts, **options)

    monkeypatch.setattr(rich.console, "Console", narrow)
    monkeypatch.setattr(rich.table.Table, "add_row", at_home)
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder in the layout of Qwen2.5-VL, with random weights."""
    return write_family(tmp_path_factory.mktemp("model"), "qwen2_5_vl")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four rendered videos under the names of the reader's own."""
    folder = tmp_path_factory.mktemp("videos")
    render_dataset(folder, {"val": 4}, ["all"], 8)
    for index, name in enumerate(("frog", "dog", "cat", "rain")):
        (folder / f"val/{index:06d}.mp4").rename(folder / f"val/{name}.mp4")
    return folder / "val"


@pytest.fixture
def place(tmp_path: Path, model: Path, videos: Path) -> Path:
    """The folder of a reader: recipes, a model and videos."""
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    (tmp_path / "model").symlink_to(model)
    shutil.copytree(videos, tmp_path / "videos")
    return tmp_path


def update(page: Page, printed: dict[int, str]) -> None:
    """Write what commands print into a page; keys are the first lines that show it."""
    lines = page.path.read_text(encoding="utf-8").splitlines()
    for command in reversed(page.commands):
        if command.first in printed:
            text = "\n".join(line.rstrip() for line in printed[command.first].splitlines())
            end = command.first + len(command.shown)
            lines[command.first : end] = text.strip("\n").splitlines()
    page.path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] if n in SLOW else []) for n in page_files()]
)
@pytest.mark.usefixtures("terminal")
def test_commands_of_a_page_run_and_print_what_it_shows(name: str, place: Path) -> None:
    page = read_page(ROOT / name)
    for file, text in page.files.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(text, encoding="utf-8")
    differences, printed = [], {}
    for command in page.commands:
        where = f"{name}:{command.first}: {command.text}"
        if reason_not_to_run(name, command.text):
            assert parses(command.text), where
            continue
        if command.is_python:
            exec(compile(command.text, where, "exec"), {})
            continue
        if not re.match(r"([A-Z_]+=\S+ )*vl ", command.text):
            subprocess.run(["bash", "-ec", command.text], check=True, cwd=place)
            continue
        code, output, smaller = run_vl(command.text, place)
        assert code == EXIT_CODES.get(command.text, 0), f"{where}\nexit code {code}\n{output}"
        if command.shown and not smaller and not agrees(command.shown, output):
            printed[command.first] = output
            differences.append(f"{where}\nprints\n{output}")
    if UPDATE:
        update(page, printed)
    assert UPDATE or not differences, "\n".join(differences)


def test_each_exception_is_needed() -> None:
    names = page_files()
    commands = [
        (name, command.text) for name in names for command in read_page(ROOT / name).commands
    ]
    for pages, pattern, reason in NOT_RUN:
        assert reason
        if pages != "*" and any(fnmatchcase(name, pages) for name, _ in commands):
            assert any(
                fnmatchcase(name, pages) and fnmatchcase(command, pattern)
                for name, command in commands
            ), f"no command: {pages}, {pattern}"
    assert set(SLOW) <= set(names)


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "recipes/README.md", "cache/README.md"]
)
def test_links_of_a_page_outside_the_site_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"
