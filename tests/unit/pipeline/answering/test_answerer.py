"""From a clip's features to answer documents."""

import math
from pathlib import Path

import pytest

from videolatent_cli.pipeline.answering.answerer import (
    Answerer,
    AnswerOptions,
    Question,
    load_cached,
    load_clip,
    unanswered,
)
from videolatent_cli.pipeline.runs.trained_model import TrainedModel, open_model
from videolatent_cli.pipeline.train import TrainReport
from videolatent_cli.store import FeatureCache
from videolatent_cli.video.clip import Clip

WHERE = Question("w", "Where did it go?")
CHOICE = Question("c", "Which color?", ("red", "blue", "green"))


@pytest.fixture
def model(trained: TrainReport) -> TrainedModel:
    return open_model(trained.run_dir, "cpu")


def test_a_question_with_choices_lists_them() -> None:
    assert WHERE.prompt == "Where did it go?"
    assert CHOICE.prompt == "Which color?\n(A) red\n(B) blue\n(C) green"


def test_a_clip_is_decoded_once(model: TrainedModel, video: Path, tmp_path: Path) -> None:
    source = model.source(FeatureCache(tmp_path / "c"))
    first, again = load_clip(source, Clip(video)), load_clip(source, Clip(video))
    assert (first.cache_hit, again.cache_hit) == (False, True)
    assert first.features.embeds.equal(again.features.embeds)
    assert first.seconds["decode"] > 0 == again.seconds["decode"]
    (kept,) = load_cached(source, [first.clip], {first.clip: 2.5})
    assert not kept.cache_hit
    assert kept.seconds["decode"] == 2.5
    assert load_cached(source, []) == []


def test_questions_of_a_clip_share_its_time_and_are_answered_as_alone(
    model: TrainedModel, video: Path
) -> None:
    clip = load_clip(model.source(), Clip(video))
    answerer = Answerer(model, AnswerOptions(num_evidence=1))
    together = answerer.answer([(clip, [WHERE, CHOICE])])
    assert [found.answer.id for found in together] == ["w", "c"]
    decode = [found.answer.timing_seconds["decode"] for found in together]
    assert decode == [pytest.approx(clip.seconds["decode"] / 2)] * 2
    for found, question in zip(together, (WHERE, CHOICE), strict=True):
        (alone,) = answerer.answer([(clip, [question])])
        assert found.answer.answer == alone.answer.answer
        assert found.log_likelihood == pytest.approx(alone.log_likelihood, abs=1e-4)
        assert len(found.answer.evidence) == 1
        assert found.weights is not None
        assert sum(found.weights) == pytest.approx(1.0, abs=1e-4)
    chosen = together[1]
    chances = chosen.answer.choice_probs
    assert chances is not None
    assert chosen.answer.choice == max(chances, key=chances.__getitem__)
    assert (
        chosen.answer.answer
        == dict(zip("ABC", CHOICE.choices, strict=True))[str(chosen.answer.choice)]
    )
    assert chosen.log_likelihood == pytest.approx(math.log(max(chances.values())))


def test_without_latents_there_is_no_evidence(model: TrainedModel, video: Path) -> None:
    clip = load_clip(model.source(), Clip(video))
    (found,) = Answerer(model, AnswerOptions(latents="off")).answer([(clip, [WHERE])])
    assert found.weights is None
    assert found.answer.evidence == []
    assert found.answer.latents.mode == "off"


def test_a_question_without_an_answer_has_a_document_too(model: TrainedModel) -> None:
    found = unanswered(model, WHERE, "failed", "a.mp4: is broken")
    assert (found.status, found.answer, found.warnings) == ("failed", "", ["a.mp4: is broken"])
    assert found.model.checkpoint == "step-0000004"
    assert found.sampling.hash == model.checkpoint.sampling.hash
