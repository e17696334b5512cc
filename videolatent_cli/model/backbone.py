"""The seam to transformers: the only file that names its model classes."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoTokenizer,
    DynamicCache,
)
from transformers.utils import logging as transformers_logging

from videolatent_cli.errors import EnvironmentProblemError
from videolatent_cli.model.attention import choose_attention
from videolatent_cli.model.features import VideoFeatures
from videolatent_cli.model.pixels import Geometry, patchify
from videolatent_cli.model.state import State

if TYPE_CHECKING:
    from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
    from videolatent_cli.video.frames import FrameBatch

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # not annotated

TINY = "tiny"
TINY_FOLDER = Path(__file__).parent / "tiny_weights"
FAMILIES = ("qwen2_5_vl",)
"""Values of `model_type` that are supported and tested."""


@dataclass(frozen=True)
class Extension:
    """What running more positions gave."""

    hidden: Float[Tensor, "batch seq dim"]
    """Last-layer hidden states after the final norm."""
    by_layer: tuple[Float[Tensor, "batch seq dim"], ...]
    """Hidden states after each layer that was asked for, the last one after the final norm."""
    state: State


class Backbone(nn.Module):
    """A Hugging Face video model behind four verbs: encode, embed, extend, logits.

    Choice: every forward passes explicit positions to the language model, which is exact and
    leaves no state in the model; cached features and latents enter as plain embeddings.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,  # noqa: ANN401 - transformers' tokenizers share no useful type
        geometry: Geometry,
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.tokenizer = tokenizer
        self.geometry = geometry
        self.config: Any = model.config

    @property
    def core(self) -> Any:  # noqa: ANN401 - transformers' models share no useful type
        """The model under LoRA, if any: vision tower, language model and head."""
        inner = self.model
        return inner.get_base_model() if hasattr(inner, "get_base_model") else inner

    @property
    def language_model(self) -> Any:  # noqa: ANN401 - the class depends on the family
        """The decoder."""
        return self.core.model.language_model

    @property
    def dim(self) -> int:
        """Width d of the language model."""
        return int(self.config.get_text_config().hidden_size)

    @property
    def num_layers(self) -> int:
        """Number of decoder layers L."""
        return int(self.config.get_text_config().num_hidden_layers)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return next(self.parameters()).dtype

    def encode_video(self, frames: FrameBatch) -> VideoFeatures:
        """Return the merged visual features of frames that are already resized.

        Source: the vision tower stays as it was trained (public snapshot of the authors' code).
        """
        return self.encode_videos([frames])[0]

    def encode_videos(self, batches: list[FrameBatch]) -> list[VideoFeatures]:
        """Return the features of several videos, encoded together."""
        parts = [patchify(frames, self.geometry) for frames in batches]
        pixels = torch.cat([part.pixels for part in parts]).to(self.device, self.dtype)
        grids = torch.tensor([part.grid for part in parts], device=self.device)
        out = self.core.model.get_video_features(pixels, grids, return_dict=True)
        return [
            VideoFeatures(embeds, part.grid, part.group_seconds, part.pts_seconds)
            for embeds, part in zip(out.pooler_output, parts, strict=True)
        ]

    def num_visual_tokens(self, grid: tuple[int, int, int]) -> int:
        """Return how many visual tokens a grid of patches becomes."""
        groups, rows, columns = grid
        return groups * rows * columns // self.geometry.merge**2

    def embed(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq dim"]:
        """Return token embeddings."""
        out: Tensor = self.core.get_input_embeddings()(ids)
        return out

    def empty_state(self, batch: int) -> State:
        """Return the state before the first position."""
        text = self.config.get_text_config()
        heads = text.num_key_value_heads
        size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        nothing = torch.zeros(batch, heads, 0, size, device=self.device, dtype=self.dtype)
        mask = torch.ones(batch, 0, dtype=torch.bool, device=self.device)
        start = torch.zeros(batch, dtype=torch.long, device=self.device)
        return State(((nothing, nothing),) * self.num_layers, mask, start)

    def prefill_videos(
        self,
        ids: Int[Tensor, "video seq"],
        mask: Bool[Tensor, "video seq"],
        features: list[VideoFeatures],
    ) -> State:
        """Return the state after the prompt's head and the visual tokens of each video.

        Args:
            ids: Tokens with one placeholder a visual token.
            mask: False at padding, which stands on the left.
            features: One a row.
        """
        embeds = self.embed(ids)
        visual: Tensor = ids == self.config.video_token_id
        merged = torch.cat([f.embeds for f in features]).to(embeds.dtype)
        embeds = embeds.masked_scatter(visual[..., None], merged)
        positions, deltas = self.core.model.get_rope_index(
            ids,
            mm_token_type_ids=visual.int() * 2,
            video_grid_thw=torch.tensor([f.grid for f in features], device=ids.device),
            second_per_grid_ts=[f.seconds_per_group for f in features],
            attention_mask=mask.long(),
        )
        state = self.empty_state(len(ids))
        after = (mask.sum(1) + deltas.squeeze(-1)).long()
        return self._run(embeds, mask, positions, after, state, ()).state

    def extend(
        self,
        embeds: Float[Tensor, "batch seq dim"],
        state: State,
        mask: Bool[Tensor, "batch seq"] | None = None,
        layers: tuple[int, ...] = (),
        moves: Bool[Tensor, "batch seq"] | None = None,
    ) -> Extension:
        """Run more tokens on a state, with gradient, and return hidden states and new state.

        Choice: text, latents and answers have equal temporal, height and width positions that go
        on after the largest visual position.

        Args:
            embeds: What to run.
            state: What was run before.
            mask: False at padding.
            layers: Layers whose hidden states are wanted.
            moves: Which tokens take the next position; the others stand where the last one that
                did stands. None: all but padding.
        """
        if mask is None:
            mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        steps = (mask if moves is None else moves).long().cumsum(1)
        flat = (state.next_position[:, None] + steps - 1).clamp(min=0)
        after = state.next_position + steps[:, -1]
        return self._run(embeds, mask, flat.expand(3, -1, -1), after, state, layers)

    def _run(
        self,
        embeds: Float[Tensor, "batch seq dim"],
        mask: Bool[Tensor, "batch seq"],
        positions: Int[Tensor, "3 batch seq"],
        next_position: Int[Tensor, " batch"],
        state: State,
        layers: tuple[int, ...],
    ) -> Extension:
        """Run the decoder once, causally, on top of a state."""
        full_mask = torch.cat((state.mask, mask), 1)
        past: Any = DynamicCache(list(state.layers), config=self.language_model.config)
        out = self.language_model(
            inputs_embeds=embeds,
            attention_mask=None if bool(full_mask.all()) else full_mask.long(),
            position_ids=positions,
            past_key_values=past,
            use_cache=True,
            output_hidden_states=bool(layers),
        )
        kept = tuple((layer.keys, layer.values) for layer in past.layers)
        by_layer = tuple(out.hidden_states[index] for index in layers)
        after = State(kept, full_mask, next_position)
        return Extension(out.last_hidden_state, by_layer, after)

    def logits(self, hidden: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any vocab"]:
        """Return next-token logits."""
        out: Tensor = self.core.lm_head(hidden)
        return out

    def make_trainable(self, recipe: BackboneRecipe) -> None:
        """Add LoRA if wanted and switch gradients on for the parts that the recipe trains."""
        if recipe.train == "lora":
            targets = r".*\.language_model\.layers\.\d+\.(self_attn|mlp)\.[a-z_]+_proj"
            lora = LoraConfig(
                r=recipe.lora.rank,
                lora_alpha=recipe.lora.alpha,
                lora_dropout=recipe.lora.dropout,
                target_modules=targets,
                task_type="CAUSAL_LM",
            )
            self.model = get_peft_model(self.model, lora)
        core = self.core
        if recipe.train == "full":
            core.model.language_model.requires_grad_(True)
            core.lm_head.requires_grad_(True)
        core.model.visual.requires_grad_(recipe.train_vision)
        learns = any(p.requires_grad for p in core.model.visual.parameters())
        if learns != recipe.train_vision:
            raise AssertionError("adapters must stay out of the vision tower")

    def fingerprint(self) -> str:
        """Return 16 hexadecimal digits that name family, geometry and vision weights.

        Features of one fingerprint are interchangeable: the language model does not matter.
        """
        sha = hashlib.sha256(f"{self.config.model_type} {self.geometry} {self.dtype}".encode())
        for name, tensor in sorted(self.core.model.visual.state_dict().items()):
            sha.update(name.encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            sha.update(flat.view(torch.uint8).numpy().tobytes())
        return sha.hexdigest()[:16]


def load_backbone(recipe: BackboneRecipe, device: str = "cpu", seed: int = 0) -> Backbone:
    """Return the backbone that a recipe names, on a device, with nothing trainable yet.

    Raises:
        EnvironmentProblemError: Where the model is not on disk or is of another family.
    """
    folder = TINY_FOLDER if recipe.model == TINY else recipe.model
    offline = os.environ.get("VL_OFFLINE") == "1"
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=offline)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=offline)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise EnvironmentProblemError(
            f"backbone.model: cannot load, got '{recipe.model}' ({reason}); "
            "name a folder on disk, a hub id, or 'tiny'"
        ) from None
    if config.model_type not in FAMILIES:
        raise EnvironmentProblemError(
            f"backbone.model: '{recipe.model}' is of family {config.model_type}, "
            f"supported: {', '.join(FAMILIES)}; choose a model of these families"
        )
    attention = choose_attention(recipe.attention, device)
    dtype = _dtype(recipe.dtype, device)
    if recipe.weights == "random":
        torch.manual_seed(seed)
        make: Any = AutoModelForImageTextToText.from_config
        model = make(config, attn_implementation=attention).to(dtype)
    else:
        model = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, attn_implementation=attention, local_files_only=offline
        )
    model.requires_grad_(False)
    return Backbone(model, tokenizer, Geometry.of(config, folder)).to(device)


def _dtype(name: str, device: str) -> torch.dtype:
    """Return the type of the weights; `auto` is bfloat16 on a GPU only."""
    if name == "auto":
        return torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
    dtype: torch.dtype = getattr(torch, name)
    return dtype
