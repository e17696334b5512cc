"""Train a recipe for a few steps, then show what its latents are worth.

    python examples/train_and_compare.py

Takes half a minute on two CPU cores; nothing is downloaded. A run this short learns little: it
shows the calls, not a result.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from videolatent_cli import Machine, TrainRequest, load_recipe, train
from videolatent_cli.pipeline.evaluate import EvalRequest, evaluate_run
from videolatent_cli.recipe.shipped import shipped_recipe

OVERRIDES = (
    "training.max_steps=8",
    "data.num_videos=24",
    "data.num_eval_videos=12",
)


def main() -> None:
    """Train, then compare the run's own latents with those of another video."""
    path = shipped_recipe("quickstart")
    recipe = load_recipe(path, OVERRIDES)
    with TemporaryDirectory() as folder:
        machine = Machine(cache_dir=Path(folder) / "cache", device="cpu")
        request = TrainRequest(
            recipe=recipe,
            source=path.read_text(encoding="utf-8"),
            run_dir=Path(folder) / "run",
            base_dir=path.parent,
            overrides=OVERRIDES,
        )
        report = train(request, machine)
        print(f"{report.steps} steps in {report.seconds:.0f} s")
        evaluation = evaluate_run(EvalRequest(report.run_dir, ablations=("shuffle",)), machine)
        for split, results in evaluation.results.items():
            for ablation, judged in results.items():
                right = sum(one.right for one in judged)
                print(f"{split}, latents {ablation}: {right} of {len(judged)} answers right")


if __name__ == "__main__":
    main()
