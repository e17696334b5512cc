"""Contact sheets."""

from pathlib import Path

import numpy as np
from PIL import Image

from tests.factories import frame_batch
from videolatent_cli.video.sheet import contact_sheet, write_sheet


def test_contact_sheet_marks_evidence(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    write_sheet(contact_sheet(frame_batch(0, 6), "What?\nred", [0.1, 0.9, 0, 0, 0, 0], [1]), path)
    with Image.open(path) as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    assert pixels.shape[1] == 4 * (240 + 8) + 8
    orange = (pixels == (230, 120, 0)).all(-1)
    columns = np.nonzero(orange.any(0))[0]
    assert columns.min() > 240
    assert columns.max() < 2 * 256
    write_sheet(contact_sheet(frame_batch(0, 1), "no weights"), path)
    assert path.exists()
