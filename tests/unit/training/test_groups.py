"""Groups of triplets of one clip."""

from pathlib import Path

from videolatent_cli.data.dataset import Dataset
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.training.groups import make_groups


def test_groups_hold_some_triplets_of_one_clip_and_a_limit_counts_clips(tmp_path: Path) -> None:
    triplets = [
        Triplet(video=f"{v}.mp4", question=str(q), answer="a") for v in "abc" for q in "123"
    ]
    dataset = Dataset({"s": triplets}, tmp_path)
    found = [[t.video[0] + t.question for t in g.triplets] for g in make_groups(dataset, "s", 2)]
    assert found == [["a1", "a2"], ["a3"], ["b1", "b2"], ["b3"], ["c1", "c2"], ["c3"]]
    assert [len(g.triplets) for g in make_groups(dataset, "s", 2, limit=2)] == [2, 1, 2, 1]
