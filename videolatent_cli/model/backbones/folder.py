"""Files of a model folder, on disk or on the hub: processor settings and the chat template."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from transformers.utils.hub import cached_file

from videolatent_cli.errors import SetupError

_NESTED = "processor_config.json"
"""Settings of a whole processor, those of its parts nested."""


def offline() -> bool:
    """Whether `VL_OFFLINE=1` forbids downloads, so that models must be on this machine."""
    return os.environ.get("VL_OFFLINE") == "1"


def find_file(folder: str | Path, name: str) -> Path | None:
    """Return a file of a model folder; None if the folder has no such file.

    Args:
        folder: Folder or hub id. With `VL_OFFLINE=1` only files on this machine are used.
        name: Name of the file.
    """
    path = cached_file(
        str(folder),
        name,
        local_files_only=offline(),
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return Path(path) if path is not None else None


def processor_files(folder: str | Path) -> list[Path]:
    """Return the existing files with processor settings, the file that takes precedence first.

    Source: the order of transformers' video processors.
    """
    names = (_NESTED, "video_preprocessor_config.json", "preprocessor_config.json")
    paths = [find_file(folder, name) for name in names]
    return [path for path in paths if path is not None]


def read_settings(folder: str | Path) -> dict[str, Any]:
    """Return the settings of a model's video processor, from the first file that has them.

    Raises:
        SetupError: If no file has them.
    """
    for path in processor_files(folder):
        content = _read_json(path)
        settings: dict[str, Any] = content.get("video_processor", content)
        if "image_mean" in settings:
            return settings
    raise SetupError(
        f"backbone.model: '{folder}' has no file with the processor's image_mean; add its "
        "preprocessor_config.json"
    )


def read_template(folder: str | Path) -> str | None:
    """Return the chat template of a model's processor; None if only the tokenizer may have one.

    Source: the order of transformers' processors. They never read the tokenizer's template, which
    in some released folders knows text only. Choice: the files are read here, since importing
    transformers' processors takes longer than loading a small model.

    Raises:
        SetupError: If a file with templates has none that is the default.
    """
    for name in (_NESTED, "chat_template.json"):
        path = find_file(folder, name)
        template = _read_json(path).get("chat_template") if path is not None else None
        if isinstance(template, dict):
            template = template.get("default", template)
        if isinstance(template, str):
            return template
        if template is not None:
            raise SetupError(
                f"{path}: chat_template must be a text or hold a text named 'default', "
                f"got {str(template)[:60]!r}; add a chat_template.jinja and remove it there"
            )
    path = find_file(folder, "chat_template.jinja")
    return path.read_text(encoding="utf-8") if path is not None else None


def _read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        SetupError: If the file is not valid JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SetupError(f"{path}: not valid JSON ({error}); download the model again") from None
    if not isinstance(content, dict):
        raise SetupError(
            f"{path}: must hold a JSON object, got {type(content).__name__}; "
            "download the model again"
        )
    return content
