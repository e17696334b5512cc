"""Data of a recipe made ready: cached features equal live ones, bad videos are handled as told."""

from pathlib import Path

import pytest
import torch

from tests.factories import make_recipe, make_video, write_jsonl
from videolatent_cli.errors import DataError
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.cache import CacheRequest, build_cache
from videolatent_cli.pipeline.prepare import open_source, prepare
from videolatent_cli.recipe import Recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.video.clip import Clip


@pytest.mark.parametrize("tier", ["features", "frames", "none"])
def test_cached_features_equal_live_ones_and_give_equal_logits(
    small_folder: Path, tmp_path: Path, cache_dir: Path, tier: str
) -> None:
    recipe = make_recipe(small_folder, cache=f"{{tier: {tier}}}")
    model = build_model(recipe).eval()
    prepared, _ = prepare(recipe, model, tmp_path, cache_dir)
    clips = [Clip(prepared.dataset.path(t)) for t in prepared.dataset.splits["test_iid"]]
    live = open_source(make_recipe(small_folder, cache="{tier: none}"), model, cache_dir)
    for cached, fresh in zip(prepared.source.features(clips), live.features(clips), strict=True):
        assert torch.equal(cached.embeds, fresh.embeds)
        assert torch.equal(cached.pts_seconds, fresh.pts_seconds)
    if tier == "features":
        assert prepared.source.cached(clips[0])
    from videolatent_cli.model.batch import Example, Prompter

    prompter = Prompter(model.backbone)
    logits = []
    for source in (prepared.source, live):
        features = source.features(clips[:1])
        batch = prompter.collate(features, [[Example("Where?", "up")]])
        logits.append(model(batch).answer_logits)
    assert torch.equal(logits[0], logits[1])


def test_bad_videos_fail_or_are_left_out_within_a_limit(small_folder: Path, tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", 8, 4, size=(64, 64))
    (tmp_path / "bad.mp4").write_bytes(b"none" * 50)
    rows = [{"video": v, "question": "q", "answer": "red"} for v in ("a.mp4", "bad.mp4")]
    write_jsonl(tmp_path / "t.jsonl", rows)

    def recipe(policy: str) -> Recipe:
        return make_recipe(small_folder, data=f"{{type: triplets, path: t.jsonl, {policy}}}")

    with pytest.raises(
        DataError, match=r"bad.mp4: cannot be opened .*; fix or remove it, or set data.on_bad"
    ):
        build_cache(CacheRequest(recipe("on_bad: fail"), tmp_path), Machine(tmp_path / "c"))
    with pytest.raises(
        DataError, match=r"1 of 2 videos cannot be read, data.max_bad_fraction allows 0.1"
    ):
        build_cache(
            CacheRequest(recipe("on_bad: skip, max_bad_fraction: 0.1"), tmp_path),
            Machine(tmp_path / "c"),
        )
    report = build_cache(
        CacheRequest(recipe("on_bad: skip, max_bad_fraction: 0.5"), tmp_path),
        Machine(tmp_path / "c"),
    )
    assert list(report.quarantined) == [tmp_path / "bad.mp4"]
    model = build_model(recipe("on_bad: skip, max_bad_fraction: 0.5"))
    prepared, _ = prepare(
        recipe("on_bad: skip, max_bad_fraction: 0.5"), model, tmp_path, tmp_path / "c"
    )
    assert [t.video for t in prepared.dataset.splits["train"]] == ["a.mp4"]
