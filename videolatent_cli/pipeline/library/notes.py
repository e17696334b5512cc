"""Notes about videos: user-written records with a column `video` and any other columns."""

import json
from pathlib import Path

from loguru import logger
from pydantic import BaseModel, ConfigDict, Field

from videolatent_cli.data.records import read_records


class _Note(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    id: str
    video: str = Field(min_length=1)


def read_notes(path: Path) -> dict[Path, str]:
    """Return the notes about each video, by its absolute path.

    Notes are a JSON object of all columns except `id` and `video`.

    Args:
        path: JSON Lines or CSV; `video` is a path, relative to the folder of this file.

    Raises:
        DataError: With one line per problem.
    """
    notes: dict[Path, str] = {}
    for record in read_records(path, _Note, "record", "name a file with a column video"):
        video = (path.parent / record.video).absolute()
        if not video.exists():
            logger.warning("{}: video: file not found, got '{}'", path, record.video)
        notes[video] = json.dumps(record.model_extra, ensure_ascii=False, sort_keys=True)
    return notes
