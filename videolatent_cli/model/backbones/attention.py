"""One decision: which attention kernel runs."""

from functools import cache
from importlib.util import find_spec

import torch

from videolatent_cli.errors import SetupError

_PACKAGES = {
    "flash_attention_4": ("flash_attn.cute", "flash-attn-4", 9),
    "flash_attention_3": ("flash_attn_interface", "flash-attn-3", 9),
    "flash_attention_2": ("flash_attn", "flash-attn", 8),
}
"""Module, distribution, and lowest CUDA compute capability of each kernel, best first."""


def choose_attention(wanted: str, device: str) -> str:
    """Return the kernel for a device.

    Args:
        wanted: `auto` takes the best that is installed and that the device supports.
        device: A torch device, such as `cpu` or `cuda:0`.

    Raises:
        SetupError: Where a kernel is named that cannot run here.
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
    """Return the kernel that runs and why no faster one does, for the log."""
    kernel = choose_attention(wanted, device)
    better = list(_PACKAGES)
    if wanted != "auto":
        return f"{kernel}, as the recipe says"
    if kernel in better:
        better = better[: better.index(kernel)]
    reasons: dict[str, list[str]] = {}
    for name in better:
        reasons.setdefault(_obstacle(name, device), []).append(name)
    why = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items())
    return f"{kernel} ({why})" if why else kernel


@cache
def _obstacle(name: str, device: str) -> str:
    """Return why a kernel cannot run on a device, or an empty text."""
    module, package, capability = _PACKAGES[name]
    if torch.device(device).type != "cuda":
        return f"it needs a CUDA GPU, got device '{device}'"
    if torch.cuda.get_device_capability(device)[0] < capability:
        return f"it needs compute capability {capability}.0"
    parent = module.rpartition(".")[0]
    if (parent and find_spec(parent) is None) or find_spec(module) is None:
        return f"'{package}' is not installed: pip install {package}"
    return ""
