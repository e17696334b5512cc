"""Low-rank adapters, in the decoder alone."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

    from videolatent_cli.recipe.schema import Lora


def with_lora(model: nn.Module, decoder: str, recipe: Lora) -> PeftModel:
    """Return a model whose decoder has adapters on attention and MLP; they alone learn."""
    from peft import LoraConfig, get_peft_model  # seconds to import, for recipes with LoRA alone

    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=rf".*\.{decoder}\.layers\.\d+\.(self_attn|mlp)\.[a-z_]+_proj",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft asks transformers for a property by its old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(model, lora)
