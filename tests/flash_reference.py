"""FlashAttention on a CPU: transformers' own flash path with a written-out kernel.

The kernel follows the documentation of flash-attn 2 (`flash_attn_interface.py`): causal masks are
aligned to the bottom right corner, `flash_attn_varlen_func` takes texts one after another between
cumulative lengths, and grouped keys and values serve several queries.
"""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import modeling_flash_attention_utils as flash
from transformers.integrations import flash_attention as integration

from videolatent_cli.model.backbones.base import Backbone


def _attend(query: Tensor, key: Tensor, value: Tensor, causal: bool, scale: float) -> Tensor:
    """Attention of one text, all of (seq, head, dim); a query without keys gives zeros."""
    key, value = (x.repeat_interleave(query.shape[1] // x.shape[1], 1) for x in (key, value))
    scores = torch.einsum("qhd,khd->hqk", query, key) * scale
    if causal:
        seen = torch.ones(scores.shape[1:], dtype=torch.bool).tril(len(key) - len(query))
        scores = scores.masked_fill(~seen, -torch.inf)
    weights = scores.softmax(-1).nan_to_num()
    return torch.einsum("hqk,khd->qhd", weights, value)


def flash_attn_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    """Attention of rows of equal length, (batch, seq, head, dim)."""
    scale = softmax_scale or q.shape[-1] ** -0.5
    return torch.stack([_attend(*row, causal, scale) for row in zip(q, k, v, strict=True)])


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
) -> Tensor:
    """Attention of texts one after another, (total seq, head, dim)."""
    scale = softmax_scale or q.shape[-1] ** -0.5
    bounds = list(pairwise(cu_seqlens_q.tolist())), list(pairwise(cu_seqlens_k.tolist()))
    for text, keys in zip(*bounds, strict=True):
        assert text[1] - text[0] <= max_seqlen_q
        assert keys[1] - keys[0] <= max_seqlen_k
    return torch.cat(
        [
            _attend(q[slice(*text)], k[slice(*keys)], v[slice(*keys)], causal, scale)
            for text, keys in zip(*bounds, strict=True)
        ]
    )


def use_flash_attention(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a backbone's decoder take transformers' flash path on this CPU.

    Returns:
        The list of kernels that were called, which grows with every call.
    """
    called: list[str] = []

    def dense(*args: Any, **options: Any) -> Tensor:
        called.append("dense")
        return flash_attn_func(*args, **options)

    def varlen(*args: Any, **options: Any) -> Tensor:
        called.append("varlen")
        return flash_attn_varlen_func(*args, **options)

    arguments = flash._lazy_define_process_function(flash_attn_varlen_func)
    kernels = (dense, varlen, None, flash._pad_input, flash._unpad_input)
    monkeypatch.setattr(
        flash, "lazy_import_flash_attention", lambda *_, **__: (kernels, (arguments, dict))
    )
    # Asked of the installed flash-attn: its masks are aligned to the bottom right since 2.1.
    monkeypatch.setattr(integration, "_use_top_left_mask", False)
    for module in backbone.language_model.modules():
        if hasattr(module, "config"):
            monkeypatch.setattr(module.config, "_attn_implementation", "flash_attention_2")
    return called
