"""Search vectors by the backbone: states of transformers' own forward."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from tests.factories import make_recipe
from tests.families import family_batch, frames_for, load_family, pixel_inputs
from tests.libraries import LIBRARY, all_segments, run
from videolatent_cli.errors import IncompatibleError
from videolatent_cli.model.batch import Example, Prompter
from videolatent_cli.pipeline.library.embedders.backbone import (
    TEXT_PROMPT,
    VIDEO_PROMPT,
    Summarizer,
)
from videolatent_cli.pipeline.library.embedders.base import open_embedder
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.pipeline.runs.trained_model import EMBEDDED, open_model
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.video.clip import Clip
from videolatent_cli.video.content import content_id


def test_segments_by_the_backbone_itself(media: Path, small_folder: Path, tmp_path: Path) -> None:
    run(media, embedder=f"backbone:{EMBEDDED}")
    embedder = open_embedder(f"backbone:{EMBEDDED}")
    trained = open_model(EMBEDDED, "cpu")
    videos = {content_id(path): path for path in media.rglob("*.mp4")}
    for one in all_segments():
        window = (None, None) if one.is_whole_video else (one.start_seconds, one.end_seconds)
        features = trained.source().encode(
            trained.source().decode(Clip(videos[one.content_id], window))
        )
        assert np.allclose(one.vector, embedder.segments((), (), [features])[0], atol=1e-4)
        assert np.linalg.norm(one.vector) == pytest.approx(1.0, abs=1e-5)
    (found,) = search(SearchRequest("red square", LIBRARY, 1, "vector"))
    assert found.score == pytest.approx(float(embedder.query("red square") @ found.segment.vector))
    assert one.thumbnail is not None
    (tmp_path / "look.jpg").write_bytes(one.thumbnail)
    assert (
        search(SearchRequest("", LIBRARY, 1, image=tmp_path / "look.jpg"), Machine(device="cpu"))[
            0
        ].score
        > 0
    )
    recipe = make_recipe(small_folder, ("training.max_steps=1",))
    other = tmp_path / "other"
    train(TrainRequest(recipe, "", other, Path()), Machine(device="cpu"))
    with pytest.raises(
        IncompatibleError, match=r"--embedder: backbone:.*other encodes videos diff"
    ):
        run(media, library=Path("new"), embedder=f"backbone:{other}")


def test_summaries_are_the_last_states_of_transformers_own_forward(family_folder: Path) -> None:
    backbone = load_family(family_folder)
    summarizer, prompter = Summarizer(backbone), Prompter(backbone)
    texts = ["a cup", "a red square that moves left"]
    found = summarizer.texts(texts)
    for text, vector in zip(texts, found, strict=True):
        ids = torch.tensor(prompter.text_prompts([TEXT_PROMPT.format(text=text)]))
        assert backbone.visual_token_id not in ids
        with torch.no_grad():
            out = backbone.core(input_ids=ids, output_hidden_states=True)
        assert torch.allclose(vector, normalize(out.hidden_states[-1][0, -1], dim=0), atol=1e-4)
    batch = family_batch(backbone)
    together = summarizer.videos(batch.videos)
    for row, video in enumerate(batch.videos):
        assert torch.allclose(summarizer.videos([video])[0], together[row], atol=1e-4)
    asked = prompter.collate([batch.videos[0]], [[Example(VIDEO_PROMPT, "")]])
    ids = torch.cat((asked.video_prompt.ids, asked.question.ids), 1)
    with torch.no_grad():
        inputs = pixel_inputs(backbone, frames_for(backbone), ids)
        out = backbone.core(input_ids=ids, output_hidden_states=True, use_cache=False, **inputs)
    assert torch.allclose(together[0], normalize(out.hidden_states[-1][0, -1], dim=0), atol=1e-4)
