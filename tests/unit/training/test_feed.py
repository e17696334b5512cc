"""Feeds of micro batches."""

from pathlib import Path

import torch

from tests.factories import make_recipe, small_backbone
from videolatent_cli.training.feed import StreamFeed


def test_stream_feed_shows_new_videos_and_can_seek(small_folder: Path) -> None:
    recipe = make_recipe(
        small_folder,
        data="{type: eventworld_stream, questions_per_video: 2}",
        cache="{tier: none}",
    )
    backbone = small_backbone(small_folder)
    feed = StreamFeed(recipe.data, 2, backbone)
    assert torch.equal(feed.batch(3).answer.ids, feed.batch(3).answer.ids)
    assert not torch.equal(
        feed.batch(3).videos[0].data.sum() * torch.ones(1),
        feed.batch(4).videos[0].data.sum() * torch.ones(1),
    )
    assert feed.num_steps(recipe.training) == 4
