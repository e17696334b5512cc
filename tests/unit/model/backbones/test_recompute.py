"""A prefix that is computed again: equal gradients, and memory that is given back."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.factories import LATENT
from tests.families import family_batch, load_family
from videolatent_cli.model.backbones import recompute
from videolatent_cli.model.videolatent import VideoLatent
from videolatent_cli.objectives import answer_loss


def test_a_prefix_that_is_computed_again_gives_the_same_gradients(
    family_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recompute, "PART", 5)
    grads = []
    for again in (False, True):
        model = VideoLatent(load_family(family_folder), LATENT).eval()
        model.recompute_prefix = again
        batch = family_batch(model.backbone)
        answer_loss(model(batch).answer_logits, batch.answer.ids, batch.answer.mask).backward()
        grads.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    for name, gradient in grads[0].items():
        assert torch.allclose(grads[1][name], gradient, rtol=1e-4, atol=1e-6), name


@pytest.mark.skipif(sys.platform != "linux", reason="other C libraries are left as they are")
@pytest.mark.parametrize("at_once", [True, False])
def test_large_tensors_are_given_back_at_once(at_once: bool) -> None:
    code = f"""
import os, torch
from videolatent_cli.model.backbones.recompute import _return_freed_memory

def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

torch.ones(1 << 22)  # 16 MiB that are freed: from now on glibc would keep what is smaller
if {at_once}:
    _return_freed_memory()
kept = [torch.ones(1 << 19) for _ in range(100)]
before = resident()
del kept[::2]
print((before - resident()) >> 20)
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=env)
    given_back_mib = int(done.stdout)
    assert given_back_mib > 90 if at_once else given_back_mib < 10
