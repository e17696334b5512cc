"""Pictures show what happens."""

import numpy as np

from videolatent_cli.data.eventworld import make_world, render


def test_pictures_show_what_happens() -> None:
    world = make_world("train", 0)  # red circle moves up, yellow triangle down, ...
    frames = render(world)
    assert frames.shape == (16, 64, 64, 3)
    red = (frames == (220, 40, 40)).all(-1)
    rows = [np.nonzero(r)[0].mean() for r in red[:6]]
    assert rows[0] == rows[1] > rows[2] > rows[3] > rows[4]
    look = render(make_world("test_look", 3))
    assert not np.array_equal(look, render(make_world("test_look", 4)))
    assert look.std() > 0
