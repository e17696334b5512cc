"""VideoLatent: video question answering with a few continuous latents.

The public Python API. Names are imported on first use, so `import videolatent_cli` is light:

    from videolatent_cli import AskRequest, ask
    report = ask(AskRequest(Path("video.mp4"), "Which color moved last?"))
    print(report.answer.answer)
"""

from importlib import import_module
from typing import TYPE_CHECKING

from videolatent_cli.version import __version__

_HOMES = {
    "AskRequest": "pipeline.ask",
    "Machine": "runtime.machine",
    "SearchRequest": "pipeline.library.search",
    "TrainRequest": "pipeline.train",
    "ask": "pipeline.ask",
    "load_recipe": "recipe",
    "open_model": "pipeline.runs.trained_model",
    "search": "pipeline.library.search",
    "train": "pipeline.train",
}
"""Public names and the modules that define them."""

__all__ = [
    "AskRequest",
    "Machine",
    "SearchRequest",
    "TrainRequest",
    "__version__",
    "ask",
    "load_recipe",
    "open_model",
    "search",
    "train",
]

if TYPE_CHECKING:
    from videolatent_cli.pipeline.ask import AskRequest, ask
    from videolatent_cli.pipeline.library.search import SearchRequest, search
    from videolatent_cli.pipeline.runs.trained_model import open_model
    from videolatent_cli.pipeline.train import TrainRequest, train
    from videolatent_cli.recipe import load_recipe
    from videolatent_cli.runtime.machine import Machine


def __getattr__(name: str) -> object:
    """Return a public name from its module.

    Raises:
        AttributeError: For any other name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
