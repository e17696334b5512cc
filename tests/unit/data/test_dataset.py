"""Data sets: roots, splits, missing videos, fingerprints."""

from pathlib import Path

import pytest

from tests.factories import make_video, write_jsonl
from videolatent_cli.data.dataset import Dataset, check_media, load_dataset
from videolatent_cli.data.triplets import Triplet
from videolatent_cli.errors import DataError, RecipeError
from videolatent_cli.recipe import parse_recipe
from videolatent_cli.video.clip import Clip


def test_dataset_of_triplets_stays_below_its_root(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    make_video(tmp_path / "media" / "a.mp4", 4, 4)
    write_jsonl(tmp_path / "t.jsonl", [{"video": "a.mp4", "question": "q", "answer": "a"}])
    text = (
        "version: 1\ndata: {type: triplets, path: t.jsonl, eval_path: t.jsonl, media_root: media}\n"
    )
    dataset = load_dataset(parse_recipe(text, "r").data, tmp_path, tmp_path)
    assert list(dataset.splits) == ["train", "eval"]
    assert list(dataset.evaluation) == ["eval"]
    check_media(dataset, tmp_path / "t.jsonl")
    path = dataset.path(dataset.splits["train"][0])
    assert dataset.without([Clip(path)]).splits == {"train": [], "eval": []}
    outside = Triplet(video="../b.mp4", question="q", answer="a")
    with pytest.raises(DataError, match=r"video: must be below .*media, got ../b.mp4"):
        dataset.path(outside)


def test_missing_videos_are_listed(tmp_path: Path) -> None:
    triplets = [Triplet(id=f"t{i}", video=f"{i}.mp4", question="q", answer="a") for i in range(25)]
    with pytest.raises(DataError) as caught:
        check_media(Dataset({"train": triplets}, tmp_path), tmp_path / "t.jsonl")
    lines = str(caught.value).splitlines()
    assert lines[0] == f"t0: video: file not found: 0.mp4 (looked in {tmp_path})"
    assert lines[20] == "... and 5 more missing videos"
    assert lines[21].endswith("t.jsonl: set data.media_root, or fix paths")


def test_unknown_splits_are_named(tmp_path: Path) -> None:
    recipe = parse_recipe("version: 1\ndata: {type: eventworld, eval_splits: [tset]}\n", "r")
    with pytest.raises(
        RecipeError, match=r"data.eval_splits: unknown split, got \['tset'\]; choose from"
    ):
        load_dataset(recipe.data, tmp_path, tmp_path)


def test_fingerprint_follows_the_training_triplets(tmp_path: Path) -> None:
    one = Triplet(video="a.mp4", question="q", answer="a")
    other = Triplet(video="a.mp4", question="q", answer="b")
    first = Dataset({"train": [one]}, tmp_path).fingerprint
    assert first == Dataset({"train": [one], "eval": [other]}, tmp_path).fingerprint
    assert first != Dataset({"train": [other]}, tmp_path).fingerprint
