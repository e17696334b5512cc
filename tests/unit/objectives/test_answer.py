"""The answer loss by hand."""

import math

import pytest
import torch

from videolatent_cli.objectives import answer_loss


def test_answer_loss_is_the_mean_over_tokens_then_over_triplets() -> None:
    logits = torch.zeros(2, 2, 4)
    logits[0, 0, 1] = math.log(3.0)  # p = 3 / 6
    ids = torch.tensor([[1, 0], [2, 3]])
    mask = torch.tensor([[True, False], [True, True]])
    expected = (math.log(2) + math.log(4)) / 2
    assert float(answer_loss(logits, ids, mask)) == pytest.approx(expected)


def test_answer_loss_ignores_padding() -> None:
    logits = torch.randn(1, 3, 5)
    ids, mask = torch.tensor([[1, 2, 3]]), torch.tensor([[True, True, False]])
    changed = logits.clone()
    changed[:, 2] = 100 * torch.randn(5)
    assert torch.equal(answer_loss(logits, ids, mask), answer_loss(changed, ids, mask))
