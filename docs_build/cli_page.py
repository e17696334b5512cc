"""`docs/reference/cli.md`, from the commands' signatures, help texts and docstrings."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import typer.main

from docs_build.markdown import one_line, table
from videolatent_cli import errors
from videolatent_cli.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

Command = Any
"""A command or group as typer builds it: its classes are private."""

_INTRODUCTION = """\
# Command reference

Every command of `vl` with its arguments, options, environment variables and exit codes.
`vl COMMAND -h` (or `--help`) prints the help of one command. Results go to stdout; log lines,
progress and warnings go to stderr. An option on the command line has priority over its environment
variable. `make docs` generates this page from the commands."""

_TYPES: dict[Any, str] = {int: "INTEGER", float: "NUMBER", str: "TEXT", Path: "PATH"}
_ENVIRONMENT = {
    "VL_FFMPEG": "Path of the ffmpeg program. Default: the program of imageio-ffmpeg, else the "
    "first `ffmpeg` in `PATH`.",
    "VL_OFFLINE": "`1` forbids every download: models must be on disk.",
    "NO_COLOR": "Any value turns colors off, as `--no-color` does.",
}
"""Environment variables that belong to no option."""
_EXIT_CODES = {
    0: "The command succeeded.",
    1: "A bug. The traceback is printed; please report it.",
    75: "SIGTERM stopped the command. Its state is saved; run the same command to resume.",
    130: "Ctrl-C stopped the command. Long commands save their state first; run the same command "
    "to resume.",
    141: "The reader of stdout closed the pipe.",
}
"""Exit codes that no class of error has, or that depend on the signal."""


@dataclass(frozen=True)
class Parameter:
    """One argument or option of a command."""

    param: Any
    """The parameter as typer builds it."""
    kind: Any
    """Type of one value."""
    is_list: bool
    limits: tuple[float | None, float | None]
    """Smallest and largest value."""

    @property
    def is_option(self) -> bool:
        """Whether it is an option; else it is an argument."""
        return bool(self.param.param_type_name == "option")

    @property
    def value(self) -> str:
        """Placeholder of the value, such as `PATH`, or the possible values."""
        if self.param.metavar:
            return str(self.param.metavar)
        if get_origin(self.kind) is Literal:
            return "|".join(get_args(self.kind))
        if self.is_option:
            return _TYPES[self.kind]
        return str(self.param.name).upper() + "..." * self.is_list

    @property
    def spelling(self) -> str:
        """The parameter as it is typed, such as `-o, --out PATH`."""
        if not self.is_option:
            return self.value
        names = ", ".join(sorted([*self.param.opts, *self.param.secondary_opts], key=len))
        return names if self.kind is bool else f"{names} {self.value}"

    @property
    def usage(self) -> str:
        """The argument in a usage line; optional ones are in brackets."""
        optional = not self.param.required and not self.value.startswith("[")
        return f"[{self.value}]" if optional else self.value

    @property
    def line(self) -> str:
        """The parameter as an item of a list."""
        notes = [one_line(self.param.help or "")]
        if self.is_option and self.is_list and "repeated" not in notes[0]:
            notes.append("May be repeated.")
        named = zip(("At least", "At most"), self.limits, strict=True)
        notes += [f"{name} {limit}." for name, limit in named if limit is not None]
        if self.param.default not in (None, "") and self.kind is not bool:
            notes.append(f"Default: `{self.param.default}`.")
        if self.param.envvar:
            notes.append(f"Environment variable: `{self.param.envvar}`.")
        if self.param.required:
            notes.append("Required.")
        return f"- `{self.spelling}`: {' '.join(notes)}"


def cli_page() -> str:
    """Return the page of all commands, environment variables and exit codes."""
    root: Command = typer.main.get_command(app)
    panels: dict[str, list[str]] = {}
    for name, command in root.commands.items():
        panel = panels.setdefault(str(command.rich_help_panel), [])
        panel += _command_blocks(f"vl {name}", command, level=3)
    blocks = [
        _INTRODUCTION,
        "## Global options",
        _block("text", ["vl [OPTIONS] COMMAND [ARGS]..."]),
    ]
    blocks += _parameter_blocks(_parameters(root))
    for title, panel in panels.items():
        blocks += [f"## {title}", *panel]
    return "\n\n".join([*blocks, *_environment_blocks(root), *_exit_code_blocks()])


def commands_below(name: str, command: Command) -> Iterator[tuple[str, Command]]:
    """Yield (name, command) of a command, and of every command below it if it is a group."""
    yield name, command
    for inner, below in getattr(command, "commands", {}).items():
        yield from commands_below(f"{name} {inner}", below)


def _command_blocks(name: str, command: Command, level: int) -> Iterator[str]:
    """Yield the Markdown of a command or of a group with its commands."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    yield f"{'#' * level} {name}"
    yield from (one_line(text) for text in paragraphs if not text.startswith("Example"))
    inner = getattr(command, "commands", None)
    if inner is not None:
        for own, below in inner.items():
            yield from _command_blocks(f"{name} {own}", below, level + 1)
        return
    parameters = _parameters(command)
    arguments = [parameter.usage for parameter in parameters if not parameter.is_option]
    yield _block("text", [" ".join([name, "[OPTIONS]", *arguments])])
    yield from _parameter_blocks(parameters)
    examples = [text.partition(":")[2] for text in paragraphs if text.startswith("Example")]
    if examples:
        yield "Example:"
        lines = [line.strip() for text in examples for line in text.strip().splitlines()]
        yield _block("sh", lines)


def _block(language: str, lines: list[str]) -> str:
    """Return command lines as a block of code."""
    return "\n".join([f"```{language}", *lines, "```"])


def _parameters(command: Command) -> list[Parameter]:
    """Return the arguments and options of a command, without `--help`."""
    hints = get_type_hints(inspect.unwrap(command.callback), include_extras=True)
    parameters = []
    for param in command.params:
        # Every parameter is annotated as `Annotated[TYPE, typer.Option(...)]`.
        kind, info = get_args(hints[param.name])
        kinds = [option for option in get_args(kind) if option is not NoneType]
        if NoneType in get_args(kind):
            (kind,) = kinds
        is_list = get_origin(kind) is list
        if is_list:
            (kind,) = get_args(kind)
        parameters.append(Parameter(param, kind, is_list, (info.min, info.max)))
    return parameters


def _parameter_blocks(parameters: list[Parameter]) -> Iterator[str]:
    """Yield the lists of arguments and options."""
    for title, is_option in (("Arguments", False), ("Options", True)):
        lines = [parameter.line for parameter in parameters if parameter.is_option == is_option]
        if lines:
            yield f"{title}:"
            yield "\n".join(lines)


def _environment_blocks(root: Command) -> list[str]:
    """Return the table of environment variables."""
    meanings: dict[str, str] = {}
    for _, command in commands_below("vl", root):
        for param in command.params:
            if param.envvar:
                name = max(param.opts, key=len)
                meanings[param.envvar] = f"Value of `{name}` where the option is not given."
    rows = [(f"`{name}`", text) for name, text in (meanings | _ENVIRONMENT).items()]
    return ["## Environment variables", table(("variable", "meaning"), rows)]


def _exit_code_blocks() -> list[str]:
    """Return the table of exit codes, from the classes of errors."""
    meanings = {code: [text] for code, text in _EXIT_CODES.items()}
    for error in vars(errors).values():
        is_error = isinstance(error, type) and issubclass(error, errors.VideoLatentError)
        if is_error and error.exit_code not in _EXIT_CODES:
            summary = one_line(inspect.cleandoc(error.__doc__ or "").split("\n\n")[0])
            meanings.setdefault(error.exit_code, []).append(summary)
    rows = [(f"`{code}`", " ".join(texts)) for code, texts in sorted(meanings.items())]
    return ["## Exit codes", table(("code", "meaning"), rows)]
