"""Run folders: recipe, provenance, log and checkpoints of a training."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videolatent_cli.errors import IncompatibleError, SetupError, UsageError
from videolatent_cli.recipe import (
    digest,
    is_same,
    provenance,
    recipe_hash,
    resolved,
    write_json,
)
from videolatent_cli.runtime.lock import locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from videolatent_cli.recipe import Recipe
    from videolatent_cli.training.loop import StepResult

RUNS = Path("runs")
"""Default parent folder of run folders."""
_RECIPE, _RESOLVED, _PROVENANCE, _LOG = (
    "recipe.yaml",
    "resolved.json",
    "provenance.json",
    "log.jsonl",
)


def cache_folder(flag: Path | None = None) -> Path:
    """Return the folder of caches: the flag's, or that of `VL_CACHE`, or `cache`."""
    return flag or Path(os.environ.get("VL_CACHE", "cache"))


class RunDir:
    """Folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """Unique name of the run, on any machine; the folder must be claimed."""
        text = (self.path / _PROVENANCE).read_text(encoding="utf-8")
        return f"{self.path.name}-{digest(text)}"

    @property
    def log_path(self) -> Path:
        """File of the log, with one JSON line per step."""
        return self.path / _LOG

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def base_dir(self) -> Path:
        """Folder that the recipe's data paths are relative to; the working folder if unknown."""
        path = self.path / _PROVENANCE
        if not path.exists():
            return Path()
        return Path(json.loads(path.read_text(encoding="utf-8"))["base_dir"])

    def is_known(self, recipe: Recipe) -> bool:
        """Whether the folder is a run of this recipe; False if it is no run yet.

        Raises:
            UsageError: If it is a run of another recipe.
        """
        stored = self.path / _RESOLVED
        if not stored.exists():
            return False
        known = json.loads(stored.read_text(encoding="utf-8"))
        if not is_same(recipe, known["recipe"]):
            raise UsageError(
                f"{self.path} exists and holds another recipe; choose another --run-dir"
            )
        return True

    def claim(
        self, recipe: Recipe, source: str, overrides: list[str], data: str, base_dir: Path
    ) -> None:
        """Create the folder for a recipe and its data, or check that it belongs to them.

        Args:
            recipe: Recipe to train.
            source: Text of the recipe file.
            overrides: Values that override the file's.
            data: Fingerprint of the training data.
            base_dir: Folder that data paths are relative to.

        Raises:
            UsageError: If the folder is a run of another recipe.
            IncompatibleError: If the training data have changed since the run started.
        """
        if self.is_known(recipe):
            path = self.path / _PROVENANCE
            before = json.loads(path.read_text(encoding="utf-8"))["data_fingerprint"]
            if before != data:
                raise IncompatibleError(
                    f"{self.path}: its training data have changed, from {before} to {data}; "
                    "choose another --run-dir"
                )
            return
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / _RECIPE).write_text(source, encoding="utf-8")
        origin = provenance(recipe, overrides, data) | {"base_dir": str(base_dir.resolve())}
        write_json(self.path / _PROVENANCE, origin)
        # Last: a folder without this file is no run, so a kill before it leaves nothing half done.
        document = {"schema": "vl.recipe/1", "recipe_hash": recipe_hash(recipe)}
        write_json(self.path / _RESOLVED, {**document, "recipe": resolved(recipe)})

    def lock(self) -> AbstractContextManager[None]:
        """Return a lock that keeps other trainings out of the folder.

        Raises:
            ResourceError: If another process trains this run.
        """
        refusal = f"{self.path}: another process trains this run; wait for it, or use --run-dir"
        return locked(self.path / ".lock", refusal)

    def cut_log(self, step: int) -> None:
        """Remove the log lines after a step, so that a resumed run continues the same curve."""
        lines = [line for line in self.read_log() if line["step"] <= step]
        part = self.log_path.with_suffix(".part")
        part.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
        part.replace(self.log_path)

    def append_log(self, result: StepResult) -> None:
        """Add one step to the log."""
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(result)) + "\n")

    def read_log(self) -> Iterator[dict[str, Any]]:
        """Yield the steps of the log; an incomplete last line, left by a kill, is skipped."""
        if self.log_path.exists():
            for line in self.log_path.read_text(encoding="utf-8").splitlines():
                if line.endswith("}"):
                    yield json.loads(line)


def run_summaries(root: Path = RUNS) -> list[dict[str, Any]]:
    """Return name, recipe hash and progress of each run, the newest last."""
    folders = sorted(root.glob(f"*/{_RESOLVED}"), key=lambda path: path.stat().st_mtime)
    return [run_details(path.parent)["summary"] for path in folders]


def run_details(path: Path) -> dict[str, Any]:
    """Return recipe, provenance and progress of a run as the JSON document `vl.run/1`.

    Raises:
        SetupError: If the folder is not a run.
    """
    if not (path / _RESOLVED).exists():
        raise SetupError(f"{path}: is not a run folder; 'vl runs ls' lists them")
    stored = json.loads((path / _RESOLVED).read_text(encoding="utf-8"))
    steps = sorted((path / "checkpoints").glob("step-*[0-9]/checkpoint.json"))
    newest = json.loads(steps[-1].read_text(encoding="utf-8")) if steps else {}
    summary = {
        "run": str(path),
        "recipe_hash": stored["recipe_hash"],
        "step": newest.get("step", 0),
        "total_steps": newest.get("total_steps", 0),
    }
    provenance_document = json.loads((path / _PROVENANCE).read_text(encoding="utf-8"))
    last = list(RunDir(path).read_log())[-1:]
    return {
        "schema": "vl.run/1",
        "summary": summary,
        "recipe": stored["recipe"],
        "provenance": provenance_document,
        "last_step": last[0] if last else None,
    }


def newest_run(root: Path = RUNS) -> Path | None:
    """Return the run folder with the newest checkpoint; None if no run has one."""
    checkpoints = list(root.glob("*/checkpoints/step-*[0-9]"))
    if not checkpoints:
        return None
    return max(checkpoints, key=lambda folder: folder.stat().st_mtime).parents[1]
