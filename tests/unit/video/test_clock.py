"""Clocks of streams, by hand and on a real file."""

from fractions import Fraction
from pathlib import Path

import av

from tests.factories import make_video
from videolatent_cli.video.clock import read_clocks, usual_gap


def test_the_usual_gap_is_the_median_of_the_gaps_that_are_none() -> None:
    times = [Fraction(n, 10) for n in (0, 1, 2, 2, 3, 90)]
    assert usual_gap(times) == Fraction(1, 10)
    assert usual_gap([Fraction(7)]) == Fraction(1, 25)


def test_a_clock_has_the_times_of_all_frames_and_their_span(tmp_path: Path) -> None:
    with av.open(make_video(tmp_path / "a.mp4", 8, 4)) as container:
        (clock,) = read_clocks(container, [container.streams.video[0]])
    assert clock.times == [Fraction(n, 4) for n in range(8)]
    assert clock.span == (0, 2)
    assert clock.jumps == 0
