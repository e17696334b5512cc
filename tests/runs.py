"""Trainings and batches of questions for tests."""

from collections.abc import Callable
from pathlib import Path

from tests.factories import make_batch
from videolatent_cli.model.batch import Batch
from videolatent_cli.model.load import build_model
from videolatent_cli.pipeline.answering.answer import Answer
from videolatent_cli.pipeline.batch import BatchReport, BatchRequest, answer_batch
from videolatent_cli.pipeline.runs.run_dir import RunDir
from videolatent_cli.pipeline.train import TrainReport, TrainRequest, train
from videolatent_cli.recipe import Recipe
from videolatent_cli.runtime.machine import Machine
from videolatent_cli.training.loop import StepResult, train_steps
from videolatent_cli.training.optimizer import make_optimizer, make_schedule
from videolatent_cli.training.step import SelfForcing

# --- whole runs


def train_request(recipe: Recipe, run_dir: Path, *, dry_run: bool = False) -> TrainRequest:
    """What `vl train` asks for."""
    return TrainRequest(recipe, "source: text\n", run_dir, run_dir.parent, dry_run=dry_run)


def fit(
    recipe: Recipe,
    run_dir: Path,
    cache_dir: Path,
    on_step: Callable[[StepResult], None] = lambda _: None,
) -> TrainReport:
    """Train as `vl train` does."""
    return train(train_request(recipe, run_dir), Machine(cache_dir), on_step=on_step)


def losses(run_dir: Path) -> list[dict[str, float]]:
    """The parts of the loss of each step."""
    return [line["parts"] for line in RunDir(run_dir).read_log()]


# --- steps on one batch


class OneBatch:
    """A feed that always gives the same batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def batch(self, index: int) -> Batch:
        """The batch."""
        del index
        return self._batch


def run_steps(recipe: Recipe, steps: int) -> tuple[SelfForcing, list[StepResult]]:
    """Train a recipe's model on one batch."""
    model = build_model(recipe)
    module = SelfForcing(model, recipe)
    optimizer = make_optimizer(module, recipe.training)
    schedule = make_schedule(recipe.training, steps)
    feed = OneBatch(make_batch(model))
    results = train_steps(
        module, optimizer, schedule, feed, recipe.training, first_step=0, total_steps=steps
    )
    return module, list(results)


# --- batches of questions


def run_batch(questions: Path, world: Path, **options: object) -> BatchReport:
    """Answer a file of questions as `vl batch` does, into a.jsonl."""
    request = BatchRequest(questions, Path("a.jsonl"), world, **options)
    return answer_batch(request, Machine(device="cpu"))


def read_answers(path: Path = Path("a.jsonl")) -> dict[str, Answer]:
    """Answers by the names of their questions."""
    found = [Answer.model_validate_json(line) for line in path.read_text().splitlines()]
    assert len({a.id for a in found}) == len(found)
    return {answer.id: answer for answer in found}
