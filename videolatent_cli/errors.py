"""Errors that the command line shows as one line; any other exception keeps its traceback."""

import os
from pathlib import Path


def printable(path: Path | str) -> str:
    """Return a path, or a text with a path in it, as valid text: non-UTF-8 bytes are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class VideoLatentError(Exception):
    """Base class of all shown errors.

    `str(error)` is the complete message, `WHERE: WHAT, got VALUE; DO THIS`.
    """

    exit_code = 1


class UsageError(VideoLatentError):
    """A command-line flag or argument that cannot be used as given."""

    exit_code = 2


class RecipeError(VideoLatentError):
    """A recipe or override that cannot be used as written."""

    exit_code = 2


class DataError(VideoLatentError):
    """Triplets or videos that are missing or damaged, beyond the limits of `data.on_bad`."""

    exit_code = 3


class VideoError(DataError):
    """A video file that cannot be read, or that does not decode to the requested frames."""


class WindowError(VideoError):
    """A part of a video that lies outside of the video; other parts of the file may be fine."""


class SetupError(VideoLatentError):
    """A missing part of the installation: an optional package, a model, a GPU or ffmpeg."""

    exit_code = 4


class ResourceError(VideoLatentError):
    """Too little memory or disk space, or a lock that another process holds."""

    exit_code = 5


class FailedItemsError(VideoLatentError):
    """A command that ran to the end but failed for some items."""

    exit_code = 6


class IncompatibleError(VideoLatentError):
    """A stored artifact that does not match: other sampling, backbone, checkpoint or schema."""

    exit_code = 7


class InterruptedRunError(VideoLatentError):
    """A long command that stopped on request, saved its state, and can be resumed."""

    exit_code = 75
