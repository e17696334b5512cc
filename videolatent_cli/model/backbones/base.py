"""The seam to transformers: a video model behind few verbs, the same for every family."""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from videolatent_cli.model.backbones.features import Layout, VideoFeatures
from videolatent_cli.model.backbones.lora import with_lora
from videolatent_cli.model.backbones.pixels import Colors, Geometry, group_times, resampling
from videolatent_cli.model.backbones.recompute import run_parts
from videolatent_cli.model.backbones.state import Extension, State
from videolatent_cli.video.resize import Resizing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from videolatent_cli.recipe.schema import Backbone as BackboneRecipe
    from videolatent_cli.video.frames import FrameBatch


class Backbone(nn.Module, ABC):
    """A Hugging Face video model: encode, prefill, extend, logits.

    What differs between families is in its subclasses: how frames become features, what stands for
    a video in the prompt, and which positions the prompt has.

    Choice: every forward passes explicit positions to the language model, which is exact and
    leaves no state in the model; cached features and latents enter as plain embeddings.
    """

    decoder = "language_model"
    """Name of the decoder within the model."""
    placeholder: str
    """What the chat template writes for a video."""

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,  # noqa: ANN401 - transformers' tokenizers share no useful type
        settings: dict[str, Any],
    ) -> None:
        super().__init__()
        self.model: Any = model
        self.tokenizer = tokenizer
        self.config: Any = model.config
        self.colors = Colors.of(settings)
        self.geometry = self.make_geometry()
        self.resizing = self.make_resizing(settings)

    @abstractmethod
    def make_geometry(self) -> Geometry:
        """Return how frames are cut, from the configuration."""

    def make_resizing(self, settings: dict[str, Any]) -> Resizing:
        """Return how frames are resized, from the processor's settings."""
        return Resizing(resampling(settings, "bicubic"))

    @property
    @abstractmethod
    def visual_token_id(self) -> int:
        """Token that stands for one visual token in the prompt."""

    @abstractmethod
    def encode_videos(self, batches: list[FrameBatch]) -> list[VideoFeatures]:
        """Return the features of several videos, encoded together.

        Source: the vision tower stays as it was trained (public snapshot of the authors' code).
        """

    @abstractmethod
    def video_text(self, layout: Layout) -> str:
        """Return what takes the place of the placeholder, one mark a visual token.

        Source: the processor of the family, of transformers 5.10 and later.
        """

    @abstractmethod
    def prompt_positions(
        self,
        ids: Int[Tensor, "video seq"],
        mask: Bool[Tensor, "video seq"],
        layouts: list[VideoFeatures],
    ) -> tuple[Int[Tensor, "*axes video seq"], Int[Tensor, " video"]]:
        """Return the positions of prompts that hold videos, and the position after each."""

    @abstractmethod
    def text_positions(self, flat: Int[Tensor, "batch seq"]) -> Int[Tensor, "*axes batch seq"]:
        """Return positions of text as the language model takes them."""

    def grid(self, num_frames: int, width_px: int, height_px: int) -> tuple[int, int, int]:
        """Return frame groups, and rows and columns of patches, of frames of a size."""
        patch = self.geometry.patch_px
        return self.geometry.groups(num_frames), height_px // patch, width_px // patch

    def deepstack_inputs(
        self, visual: Bool[Tensor, "video seq"], features: list[VideoFeatures]
    ) -> dict[str, Any]:
        """Return what the language model takes besides embeddings where there is a video."""
        return {}

    def slice_deepstack(self, deep: dict[str, Any], part: slice) -> dict[str, Any]:
        """Return what `deepstack_inputs` gave for some positions of the prompt."""
        return deep

    @property
    def core(self) -> Any:  # noqa: ANN401 - transformers' models share no useful type
        """The model under LoRA, if any: vision tower, language model and head."""
        inner = self.model
        return inner.get_base_model() if hasattr(inner, "get_base_model") else inner

    @property
    def language_model(self) -> Any:  # noqa: ANN401 - the class depends on the family
        """The decoder."""
        return getattr(self.core.model, self.decoder)

    def vision_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Return everything that features depend on: all but decoder and head."""
        for name, parameter in self.core.model.named_parameters():
            if not name.startswith(f"{self.decoder}."):
                yield name, parameter

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
        """Return the merged visual features of frames that are already resized."""
        return self.encode_videos([frames])[0]

    def layout(self, pts_seconds: NDArray[np.float64], width_px: int, height_px: int) -> Layout:
        """Return how frames of a size become visual tokens."""
        times = torch.from_numpy(pts_seconds)
        groups = group_times(times, self.geometry.frames_per_group)
        return Layout(self.grid(len(times), width_px, height_px), groups, times)

    def layout_of(self, frames: FrameBatch) -> Layout:
        """Return how frames that are already resized become visual tokens."""
        _, height, width, _ = frames.data.shape
        return self.layout(frames.pts_seconds, width, height)

    def num_visual_tokens(self, grid: tuple[int, int, int]) -> int:
        """Return how many visual tokens a grid becomes."""
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
        *,
        recompute: bool = False,
    ) -> State:
        """Return the state after the prompt's head and the visual tokens of each video.

        Args:
            ids: Tokens with one placeholder a visual token.
            mask: False at padding, which stands on the left.
            features: One a row.
            recompute: Let the backward pass compute everything again, part by part.
        """
        visual: Tensor = ids == self.visual_token_id
        merged = torch.cat([f.embeds for f in features])
        embeds = self.embed(ids)
        embeds = embeds.masked_scatter(visual[..., None], merged.to(embeds.dtype))
        positions, after = self.prompt_positions(ids, mask, features)
        state = self.empty_state(len(ids))
        deep = self.deepstack_inputs(visual, features)
        if not recompute:
            return self._run(embeds, mask, positions, after, state, (), **deep).state

        def run(part: slice, before: State) -> State:
            now = embeds[:, part], mask[:, part], positions[..., part]
            return self._run(*now, after, before, (), **self.slice_deepstack(deep, part)).state

        return run_parts(run, ids.shape[1], state)

    def extend(
        self,
        embeds: Float[Tensor, "batch seq dim"],
        state: State,
        mask: Bool[Tensor, "batch seq"] | None = None,
        layers: tuple[int, ...] = (),
        advances_position: Bool[Tensor, "batch seq"] | None = None,
    ) -> Extension:
        """Run more tokens on a state, with gradient, and return hidden states and new state.

        Choice: text, latents and answers have equal temporal, height and width positions that go
        on after the largest visual position.

        Args:
            embeds: What to run.
            state: What was run before.
            mask: False at padding.
            layers: Layers whose hidden states are wanted.
            advances_position: Which tokens take the next position; the others share the position
                of the last token that did. None: all but padding.
        """
        if mask is None:
            mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        steps = (mask if advances_position is None else advances_position).long().cumsum(1)
        flat = (state.next_position[:, None] + steps - 1).clamp(min=0)
        after = state.next_position + steps[:, -1]
        positions = self.text_positions(flat)
        in_order = advances_position is None
        return self._run(embeds, mask, positions, after, state, layers, in_order=in_order)

    def _run(
        self,
        embeds: Float[Tensor, "batch seq dim"],
        mask: Bool[Tensor, "batch seq"],
        positions: Int[Tensor, "*axes batch seq"],
        next_position: Int[Tensor, " batch"],
        state: State,
        layers: tuple[int, ...],
        *,
        in_order: bool = True,
        **deep: Any,  # noqa: ANN401 - passed on to transformers
    ) -> Extension:
        """Run the decoder once, causally, on top of a state.

        Without a mask, FlashAttention in transformers takes positions that are out of order for
        several packed texts; such calls get a mask.
        """
        full_mask = torch.cat((state.mask, mask), 1)
        decoder = self.language_model
        past: Any = DynamicCache(list(state.layers), config=decoder.config)
        # Its name is `cache` since transformers 5.24.
        name = "cache" if "cache" in signature(decoder.forward).parameters else "past_key_values"
        out = decoder(
            inputs_embeds=embeds,
            attention_mask=None if in_order and bool(full_mask.all()) else full_mask.long(),
            position_ids=positions,
            use_cache=True,
            output_hidden_states=bool(layers),
            **{name: past},
            **deep,
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
            self.model = with_lora(self.model, self.decoder, recipe.lora)
        if recipe.train == "full":
            self.language_model.requires_grad_(True)
            self.core.lm_head.requires_grad_(True)
        for name, parameter in self.vision_parameters():
            if "lora_" in name:
                raise AssertionError(f"adapters must stay out of the vision tower, got {name}")
            parameter.requires_grad_(recipe.train_vision)
