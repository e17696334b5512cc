"""Where a command runs: the settings that never belong in a recipe."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Folder of caches and torch device of one command."""

    cache_dir: Path = Path("cache")
    """Folder that holds the feature cache and rendered EventWorld files."""
    device: str = "auto"
    """A torch device such as `cpu` or `cuda:1`; `auto` is the GPU if there is one."""
