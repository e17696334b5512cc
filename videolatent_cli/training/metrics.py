"""Metrics of the training log: peak memory, and latent diagnostics for F1, F2, F3 and F9."""

import re
import resource
import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak memory so far: allocated memory on a GPU, else resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage starts from the peak of the parent process
        line = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        if line:
            return int(line[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, else KiB


def latent_diagnostics(
    latents: Float[Tensor, "batch latent dim"], num_blocks: int, embedding_rms: float
) -> dict[str, float]:
    """Return diagnostics of the latents of a batch; `scale` alone for a single triplet.

    - `effective_rank` (F1): exponential of the entropy of the squared singular values of all
      latents, after centring.
    - `similarity_between_block_J` (F1, F3): mean cosine of the same latent of two triplets, in
      block J, centred by the mean of all latents.
    - `similarity_within` (F2): mean cosine of two latents of one triplet, each centred by its mean
      over triplets.
    - `scale` (F9): RMS of the latents divided by the RMS of the token embeddings.
    """
    z = latents.float()
    rows, count, _ = z.shape
    values = {"scale": float(z.square().mean().sqrt()) / embedding_rms}
    if rows < 2:  # the other values compare triplets
        return values
    centred = z - z.mean((0, 1))
    spectrum = centred.flatten(0, 1).svd(compute_uv=False)[1].square()
    share = spectrum / spectrum.sum()
    values["effective_rank"] = float((-(share * (share + 1e-12).log()).sum()).exp())
    unit = F.normalize(centred, dim=-1)
    between = unit.transpose(0, 1) @ unit.permute(1, 2, 0)  # (latent, batch, batch)
    # Mean over pairs of different triplets: without the diagonal, which sums to `rows`.
    by_latent = (between.sum((1, 2)) - rows) / (rows * (rows - 1))
    for block, mean in enumerate(by_latent.view(num_blocks, -1).mean(1), start=1):
        values[f"similarity_between_block_{block}"] = float(mean)
    if count > 1:
        unit = F.normalize(z - z.mean(0), dim=-1)
        within = unit @ unit.transpose(1, 2)  # (batch, latent, latent)
        values["similarity_within"] = float(
            ((within.sum((1, 2)) - count).mean()) / (count**2 - count)
        )
    return values
