"""The errors that users see as one line; everything else is a bug and keeps its traceback."""

import os
from pathlib import Path


def printable(path: Path | str) -> str:
    """Return a path, or what names one, as text that any output takes: no UTF-8 is escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class VideoLatentError(Exception):
    """Base of all shown errors: `str(error)` is one finished `WHERE: WHAT, got VALUE; DO THIS`."""

    exit_code = 1


class UsageError(VideoLatentError):
    """A flag or argument that cannot be used as given."""

    exit_code = 2


class RecipeError(VideoLatentError):
    """A recipe or override that cannot be used as written."""

    exit_code = 2


class DataError(VideoLatentError):
    """Triplets or media that are missing, broken, or beyond the recipe's `data.on_bad` policy."""

    exit_code = 3


class VideoError(DataError):
    """One video file that cannot be probed or decoded to the frames that were asked for."""


class SetupError(VideoLatentError):
    """Something this machine lacks: an extra, a model, a GPU, ffmpeg."""

    exit_code = 4


class ResourceError(VideoLatentError):
    """Not enough memory or disk, or a lock that somebody else holds."""

    exit_code = 5


class FailedItemsError(VideoLatentError):
    """A command that went through to the end, but not for every item."""

    exit_code = 6


class IncompatibleError(VideoLatentError):
    """An artifact made under another contract: sampling, backbone, checkpoint or schema."""

    exit_code = 7


class InterruptedRunError(VideoLatentError):
    """A long command that was asked to stop, saved its state, and can be resumed."""

    exit_code = 75
