"""Machine settings of a command; they are flags and never part of a recipe."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """Cache folder and torch device of one command."""

    cache_dir: Path = Path("cache")
    """Folder of the feature cache and of rendered EventWorld videos."""
    device: str = "auto"
    """Torch device, such as `cpu` or `cuda:1`; `auto` is the GPU if there is one."""
