"""What users say of their videos: records with a column `video` and any others."""

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
    """Return a JSON object of the other columns for each video, by its absolute path.

    Args:
        path: JSON Lines or CSV; `video` is a path, relative to the folder of this file.

    Raises:
        DataError: With one line per problem.
    """
    notes: dict[Path, str] = {}
    for record in read_records(path, _Note, "record", "name a file with a column video"):
        video = (path.parent / record.video).absolute()
        if not video.exists():
            logger.warning("{}: names no file, got '{}'", path, record.video)
        notes[video] = json.dumps(record.model_extra, ensure_ascii=False, sort_keys=True)
    return notes
