"""Choice of the attention kernel, and what kernels must be told about a call."""

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from videolatent_cli.errors import SetupError

_PACKAGES = {
    "flash_attention_4": ("flash_attn.cute", "flash-attn-4", 9),
    "flash_attention_3": ("flash_attn_interface", "flash-attn-3", 9),
    "flash_attention_2": ("flash_attn", "flash-attn", 8),
}
"""Module, package to install, and lowest CUDA compute capability of each kernel, best first."""


def choose_attention(wanted: str, device: str) -> str:
    """Return the name of the kernel for a device, as transformers spells it.

    Args:
        wanted: `backbone.attention` of the recipe. `auto` takes the best kernel that is installed
            and that the device supports.
        device: Torch device, such as `cpu` or `cuda:0`.

    Raises:
        SetupError: If the named kernel cannot run on the device.
    """
    if wanted == "sdpa":
        return "sdpa"
    if wanted == "auto":
        return next((name for name in _PACKAGES if not _obstacle(name, device)), "sdpa")
    obstacle = _obstacle(wanted, device)
    if obstacle:
        raise SetupError(
            f"backbone.attention: {wanted} cannot run, {obstacle}; set it to sdpa or auto"
        )
    return wanted


def explain_attention(wanted: str, device: str) -> str:
    """Return a line for the log: the chosen kernel, and why each better one cannot run."""
    kernel = choose_attention(wanted, device)
    better = list(_PACKAGES)
    if wanted != "auto":
        return f"{kernel}, as set in the recipe"
    if kernel in better:
        better = better[: better.index(kernel)]
    # Kernels with the same obstacle share one entry.
    by_reason: dict[str, list[str]] = {}
    for name in better:
        by_reason.setdefault(_obstacle(name, device), []).append(name)
    why = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items())
    return f"{kernel} ({why})" if why else kernel


@cache
def _obstacle(name: str, device: str) -> str:
    """Return the reason why a kernel cannot run on a device; empty if it can."""
    module, package, capability = _PACKAGES[name]
    if torch.device(device).type != "cuda":
        return f"it needs a CUDA GPU, got device '{device}'"
    if torch.cuda.get_device_capability(device)[0] < capability:
        return f"it needs compute capability {capability}.0"
    # `find_spec` of a submodule imports its parent, and fails if there is none.
    parent = module.rpartition(".")[0]
    if (parent and find_spec(parent) is None) or find_spec(module) is None:
        return f"'{package}' is not installed: pip install {package}"
    return ""


def one_row(queries: int, keys: int, device: torch.device) -> dict[str, Tensor | int]:
    """Return the arguments that tell FlashAttention to take a call as one row of one text.

    Without them, transformers infers from the position ids of a single row where packed texts
    begin. Position ids that repeat or start late, such as those of latents on a state, then hide
    keys from the queries. Other kernels ignore these arguments.

    Source: `FlashAttentionKwargs` of transformers 5.20 to 5.24.

    Args:
        queries: Number of tokens of the call.
        keys: Number of positions that they attend to, themselves included.
        device: Device of the call.
    """
    return {
        "cu_seq_lens_q": torch.tensor([0, queries], dtype=torch.int32, device=device),
        "cu_seq_lens_k": torch.tensor([0, keys], dtype=torch.int32, device=device),
        "max_length_q": queries,
        "max_length_k": keys,
    }
