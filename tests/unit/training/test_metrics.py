"""Diagnostics of latents by hand, and peak memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from videolatent_cli.training.metrics import latent_diagnostics


def test_diagnostics_by_hand() -> None:
    same = torch.ones(5, 4, 8)
    same[:, 2:] = -1.0
    found = latent_diagnostics(same, num_blocks=2, embedding_rms=0.5)
    assert found["scale"] == pytest.approx(2.0)
    assert found["similarity_between_block_1"] == pytest.approx(1.0)
    assert found["effective_rank"] == pytest.approx(1.0, abs=1e-3)
    free = latent_diagnostics(torch.randn(64, 4, 64), 2, 1.0)
    assert abs(free["similarity_between_block_2"]) < 0.05
    assert abs(free["similarity_within"]) < 0.05
    assert free["effective_rank"] > 40
    assert latent_diagnostics(torch.ones(1, 2, 4), 1, 1.0).keys() == {"scale"}


def test_peak_memory_is_that_of_the_process_alone() -> None:
    held = np.ones(10**9 // 8)
    program = (
        "import torch; from videolatent_cli.training.metrics import peak_memory_bytes as peak; "
        "print(peak(torch.device('cpu')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert held.nbytes == 10**9
    assert 10**8 < int(done.stdout) < 9 * 10**8
