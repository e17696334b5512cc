"""Descriptions by the backbone stand in for search vectors of pictures."""

from pathlib import Path

import torch

from tests.factories import frame_batch, small_backbone
from tests.libraries import LIBRARY
from videolatent_cli.pipeline.library.describe import EMBEDDED_PROMPTS, Describer
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.runtime.machine import Machine


def test_without_an_eye_a_picture_is_described(indexed: Path) -> None:
    for path in sorted(indexed.rglob("*.mp4")):
        (best,) = search(SearchRequest("", LIBRARY, 1, image=path), Machine(device="cpu"))
        assert best.paths == (path,)
        assert best.score > 0.8


def test_a_description_is_the_answers_to_all_prompts(small_folder: Path) -> None:
    backbone = small_backbone(small_folder).eval()
    with torch.no_grad():
        videos = [backbone.encode_video(frame_batch(seed)) for seed in range(3)]
    one, two = (
        Describer(backbone, prompts, max_new_tokens=4).describe(videos)
        for prompts in (EMBEDDED_PROMPTS[:1], EMBEDDED_PROMPTS)
    )
    assert len(one) == len(two) == 3
    for short, long in zip(one, two, strict=True):
        assert long.startswith(f"{short}. ")
