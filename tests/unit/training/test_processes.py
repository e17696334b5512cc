"""Processes that share a step; several real ones are in tests/e2e/test_processes.py."""

import pytest
import torch

from videolatent_cli.errors import RecipeError
from videolatent_cli.training.processes import Processes, joined_processes


def test_micro_batches_are_shared_out_evenly() -> None:
    shares = [Processes(rank, 3).share(6) for rank in range(3)]
    assert [list(share) for share in shares] == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(RecipeError, match="multiple of the 4 processes, got 6; set it to 8"):
        Processes(0, 4).share(6)


def test_one_process_is_the_first_and_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_processes("cpu") as alone:
        assert alone == Processes()
        assert alone.first
        assert alone.gather([1, 2]) == [1, 2]
        assert alone.first_then_others(lambda: "done") == "done"
        weight = torch.nn.Parameter(torch.ones(2))
        weight.grad = torch.tensor([3.0, 4.0])
        alone.sum_gradients([weight])
        assert weight.grad.tolist() == [3.0, 4.0]
    assert not torch.distributed.is_initialized()
