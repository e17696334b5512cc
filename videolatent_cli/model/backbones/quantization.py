"""Quantization of the decoder's weights to 4 bits (NF4) with bitsandbytes.

Source: QLoRA (Dettmers et al. 2023). Choice: no 8 bits, since the products of a row would depend on
the other rows of its batch. Vision tower and head are not quantized, so that cached features stay
equal to those of the unquantized model.
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
"""Number of consecutive weights that share a scale."""


def nf4(decoder: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    """Return the transformers configuration that quantizes the decoder layers and nothing else.

    Args:
        decoder: Attribute name of the decoder within the model.
        dtype: Data type of the computation.

    Raises:
        SetupError: If bitsandbytes is not installed.
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
        # A pattern for every module that is not in a decoder layer.
        llm_int8_skip_modules=[rf"(?!.*\.{decoder}\.layers\.).*"],
    )


def prepare(model: nn.Module) -> None:
    """Set a quantized model up to compute correctly, and equally in training and in inference.

    This works around two properties of bitsandbytes 0.50 on a CPU. On CPUs with bfloat16 units it
    repacks the weights for inference and rounds the inputs of layers. It also unpacks rows with
    wrong scales if their length is not a multiple of the block size. Models that are not quantized
    stay as they are.

    Raises:
        SetupError: If a layer on a CPU has rows of such a length.
    """
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and is_quantized(module.weight):
            linear: Any = module
            linear.support_avx512bf16_for_cpu = False
            if module.weight.device.type == "cpu" and module.in_features % _BLOCK:
                raise SetupError(
                    f"backbone.quantization: on a CPU, nf4 needs layer input sizes that are "
                    f"multiples of {_BLOCK}, got {module.in_features} of {name}; set it to none"
                )


def is_quantized(parameter: torch.Tensor) -> bool:
    """Whether a parameter contains 4-bit weights, packed into fewer elements."""
    return getattr(parameter, "quant_state", None) is not None


def num_parameters(module: nn.Module) -> int:
    """Return the number of weights of a module; packed 4-bit weights count one by one."""
    parameters: list[Any] = list(module.parameters())
    return sum(math.prod(p.quant_state.shape) if is_quantized(p) else p.numel() for p in parameters)
