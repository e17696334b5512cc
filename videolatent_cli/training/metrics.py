"""What the training log says: memory, and of the latents the diagnostics F1, F2, F3 and F9."""

import re
import resource
import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def peak_memory_bytes(device: torch.device) -> int:
    """Return the largest memory so far: what was allocated on a GPU, else what the process had."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # the usage below starts, on Linux, at what the parent process had
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def latent_diagnostics(
    latents: Float[Tensor, "batch latent dim"], num_blocks: int, embedding_rms: float
) -> dict[str, float]:
    """Return diagnostics of the latents of a batch.

    - `effective_rank` (F1): exp of the entropy of the spectrum of all latents.
    - `similarity_between_block_J` (F1, F3): mean centred cosine of a latent over triplets.
    - `similarity_within` (F2): mean centred cosine of two latents of a triplet.
    - `scale` (F9): RMS of the latents over RMS of the token embeddings.
    """
    z = latents.float()
    rows, count, _ = z.shape
    found = {"scale": float(z.square().mean().sqrt()) / embedding_rms}
    if rows < 2:
        return found
    centred = z - z.mean((0, 1))
    spectrum = centred.flatten(0, 1).svd(compute_uv=False)[1].square()
    share = spectrum / spectrum.sum()
    found["effective_rank"] = float((-(share * (share + 1e-12).log()).sum()).exp())
    unit = F.normalize(centred, dim=-1)
    between = unit.transpose(0, 1) @ unit.permute(1, 2, 0)
    per_latent = (between.sum((1, 2)) - rows) / (rows * (rows - 1))
    for block, mean in enumerate(per_latent.view(num_blocks, -1).mean(1), start=1):
        found[f"similarity_between_block_{block}"] = float(mean)
    if count > 1:
        per_slot = F.normalize(z - z.mean(0), dim=-1)
        within = per_slot @ per_slot.transpose(1, 2)
        found["similarity_within"] = float(
            ((within.sum((1, 2)) - count).mean()) / (count**2 - count)
        )
    return found
