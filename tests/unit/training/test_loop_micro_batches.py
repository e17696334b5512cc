"""A step trains the same in 8 micro batches of 1, in 1 of 8, and in 2 processes with 4 each."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch import multiprocessing as mp

from tests.factories import make_batch, make_recipe, one_row
from videolatent_cli.model.batch import Batch
from videolatent_cli.model.load import build_model
from videolatent_cli.recipe import Recipe
from videolatent_cli.training.loop import train_steps
from videolatent_cli.training.processes import Processes
from videolatent_cli.training.step import SelfForcing

STEPS = 4
LOSS = (
    "{alignment_weight: 1, diversity_weight: 1, alignment_warmup_fraction: 0, diversity_queue: 12, "
    "bottleneck_full_fraction: 1, teacher: ema, teacher_ema_decay: 0.5}"
)


class Cut:
    """A feed of eight triplets a step, in micro batches of a size."""

    def __init__(self, module: SelfForcing, size: int) -> None:
        wholes = [make_batch(module.model, (10 * n, 1, 2, 3 + n)) for n in range(STEPS)]
        self.parts = [
            part
            for whole in wholes
            for part in ([whole] if size == 8 else [one_row(whole, row) for row in range(8)])
        ]

    def batch(self, index: int) -> Batch:
        return self.parts[index]


def trained(recipe: Recipe, size: int, processes: Processes) -> Iterator[dict[str, Tensor]]:
    """Yield gradients, then the whole state with the teacher's weights, after each step."""
    model = build_model(recipe)
    module = SelfForcing(model, recipe)
    parameters = {n: p for n, p in module.named_parameters() if p.requires_grad}
    # Plain gradient descent: Adam would turn the rounding of a gradient near 0 into a whole step.
    optimizer = torch.optim.SGD([{"params": list(parameters.values()), "peak_lr": 0.05}], lr=0.05)
    seen: dict[str, Tensor] = {}
    optimizer.register_step_pre_hook(
        lambda *_: seen.update(
            {n: p.grad.clone() for n, p in parameters.items() if p.grad is not None}
        )
    )
    training = recipe.training.model_copy(update={"gradient_accumulation_steps": 8 // size})
    steps = train_steps(
        module,
        optimizer,
        lambda _: 1.0,
        Cut(module, size),
        training,
        first_step=0,
        total_steps=STEPS,
        processes=processes,
    )
    for _ in steps:
        yield dict(seen)
        teacher = {f"teacher.{name}": weight for name, weight in module.teacher.weights.items()}
        yield {n: t.clone() for n, t in (module.state_dict() | teacher).items()}


def one_of_two(rank: int, folder: Path, small_folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    recipe = make_recipe(small_folder, loss=LOSS)
    torch.save(list(trained(recipe, 1, Processes(rank, 2))), folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_8_of_1_are_1_of_8_and_2_processes_of_4(small_folder: Path, tmp_path: Path) -> None:
    recipe = make_recipe(small_folder, loss=LOSS)
    cut, whole = (list(trained(recipe, size, Processes())) for size in (1, 8))
    mp.spawn(one_of_two, (tmp_path, small_folder), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    for index, wanted in enumerate(whole):
        for name, other in (("cut", cut), ("rank 0", ranks[0]), ("rank 1", ranks[1])):
            found = other[index]
            assert found.keys() == wanted.keys()
            for key, value in wanted.items():
                about = f"{name}, step {index // 2 + 1}: {key}"
                if value.is_floating_point():
                    small = 1e-4 * float(value.abs().max())
                    assert torch.allclose(found[key], value, rtol=1e-3, atol=small + 1e-7), about
                else:
                    assert torch.equal(found[key], value), about
    assert int(whole[-1]["diversity.filled"]) == 12
    assert float(whole[-1]["diversity.moments.mean"].norm()) > 0


def test_the_first_step_only_measures(small_folder: Path) -> None:
    recipe = make_recipe(small_folder, loss=LOSS)
    module = SelfForcing(build_model(recipe), recipe)
    batch = make_batch(module.model)
    weights = module.weights_at(0, 10)
    first = module(batch, weights)
    assert first.parts.keys() == {"answer", "bottleneck"}
    module.remember([first.statistics])
    assert module(batch, weights).parts.keys() == {"answer", "alignment", "diversity", "bottleneck"}


@pytest.mark.parametrize("latent", ["{num_blocks: 0, latents_per_block: 2}", "null"])
def test_without_latents_there_is_nothing_to_remember(small_folder: Path, latent: str) -> None:
    loss = "{alignment_weight: 0, diversity_weight: 0, bottleneck_weight: 0}"
    recipe = make_recipe(small_folder, latent=latent, loss=loss)
    module = SelfForcing(build_model(recipe), recipe)
    losses = module(make_batch(module.model), module.weights_at(0, 10))
    module.remember([losses.statistics] * 2)
    assert not any("moments" in name for name in module.state_dict())
