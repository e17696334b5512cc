"""Low-rank adapters (LoRA) in the decoder."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import nn

    from videolatent_cli.recipe.schema import Lora


def with_lora(model: nn.Module, decoder: str, recipe: Lora) -> PeftModel:
    """Return the model with adapters on the decoder's attention and MLP projections.

    Only the adapters are trainable.

    Args:
        model: Model of transformers.
        decoder: Name of the decoder within the model.
        recipe: Section `backbone.lora` of the recipe.
    """
    from peft import LoraConfig, get_peft_model  # takes seconds to import

    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=rf".*\.{decoder}\.layers\.\d+\.(self_attn|mlp)\.[a-z_]+_proj",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft reads a property of transformers under its deprecated name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        return get_peft_model(model, lora)
