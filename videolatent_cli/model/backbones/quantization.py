"""Weights of the decoder in 4 bits (NF4), by bitsandbytes.

Source: QLoRA (Dettmers et al. 2023). Choice: no 8 bits, whose products depend on the other rows of
a batch; and not vision tower and head, so that cached features stay those of the whole model.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig

from videolatent_cli.errors import SetupError

_BLOCK = 64
"""Weights that share a scale."""


def nf4(decoder: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return how transformers loads a model whose decoder layers alone have 4 bits.

    Args:
        decoder: Name of the decoder within the model.
        dtype: What is computed in.

    Raises:
        SetupError: Without bitsandbytes.
    """
    if find_spec("bitsandbytes") is None:
        raise SetupError(
            "backbone.quantization: nf4 needs 'bitsandbytes', which is not installed; "
            "pip install 'videolatent-cli[nf4]', or set it to none"
        )
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call] # not annotated
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=[rf"(?!.*\.{decoder}\.layers\.).*"],
    )


def prepare(model: nn.Module) -> None:
    """Make a quantized model compute rightly, and alike in training and in answering.

    bitsandbytes 0.50, on a CPU: with bfloat16 units it would repack the weights for answering and
    round what goes into them; and rows that are no whole blocks come back with the wrong scales.

    Raises:
        SetupError: For rows that a CPU cannot unpack.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and is_quantized(module.weight):
            linear: Any = module
            linear.support_avx512bf16_for_cpu = False
            if module.weight.device.type == "cpu" and module.in_features % _BLOCK:
                raise SetupError(
                    f"backbone.quantization: on a CPU nf4 takes layers whose inputs are multiples "
                    f"of {_BLOCK}, got {module.in_features} of {name}; set it to none"
                )


def is_quantized(parameter: torch.Tensor) -> bool:
    """Whether a parameter stands for more values than it holds."""
    return getattr(parameter, "quant_state", None) is not None


def num_parameters(module: nn.Module) -> int:
    """Return how many values the parameters of a module stand for."""
    values: list[Any] = list(module.parameters())
    return sum(math.prod(p.quant_state.shape) if is_quantized(p) else p.numel() for p in values)
