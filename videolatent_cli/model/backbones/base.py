"""Base class of all backbones: the interface between the method and models of transformers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import DynamicCache

from videolatent_cli.errors import IncompatibleError
from videolatent_cli.model.backbones.attention import one_row
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
    """Video model of Hugging Face transformers, with few methods: encode, prefill, extend, logits.

    Subclasses implement the differences between families: how frames become features, which text
    represents a video in the prompt, and which position ids the prompt has.

    Choice: every forward call passes explicit position ids to the language model. This is exact and
    leaves no state in the model. Cached features and latents enter as plain embeddings.

    Args:
        model: Model of transformers, with vision tower, decoder and head.
        tokenizer: Tokenizer with a chat template.
        settings: Settings of the model's image or video processor.
    """

    decoder = "language_model"
    """Attribute name of the decoder within the model."""
    placeholder: str
    """Text that the chat template writes for a video."""
    after_video: str = ""
    """Text that the processor writes after the last visual token; part of the video's text."""

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

    @classmethod
    def video_template(cls) -> str | None:
        """Return the family's own chat template for videos; None: that of the model's folder."""
        return None

    @abstractmethod
    def make_geometry(self) -> Geometry:
        """Return the sizes of patches and frame groups, from the model's configuration."""

    def make_resizing(self, settings: dict[str, Any]) -> Resizing:
        """Return how the family resizes frames, from the processor's settings."""
        return Resizing(resampling(settings, "bicubic"))

    @property
    @abstractmethod
    def visual_token_id(self) -> int:
        """Id of the placeholder token that the prompt contains for each visual token."""

    @abstractmethod
    def encode_videos(self, batches: list[FrameBatch]) -> list[VideoFeatures]:
        """Return the features of several videos, encoded in one call where the family can.

        Source: the vision tower stays frozen (public snapshot of the authors' code).
        """

    @abstractmethod
    def video_text(self, layout: Layout) -> str:
        """Return the text of a video up to its last visual token or the border after it.

        With `after_video` it replaces the placeholder of the chat template, with one placeholder
        token per visual token.

        Source: the family's processor in transformers 5.10 and later.
        """

    @abstractmethod
    def prompt_positions(
        self,
        ids: Int[Tensor, "video seq"],
        mask: Bool[Tensor, "video seq"],
        layouts: list[VideoFeatures],
    ) -> tuple[Int[Tensor, "*axes video seq"], Int[Tensor, " video"]]:
        """Return the position ids of prompts with videos, and the next position id after each."""

    @abstractmethod
    def text_positions(self, flat: Int[Tensor, "batch seq"]) -> Int[Tensor, "*axes batch seq"]:
        """Return plain position ids of text in the shape that the language model expects."""

    def grid(self, num_frames: int, width_px: int, height_px: int) -> tuple[int, int, int]:
        """Return the number of frame groups, and rows and columns of patches per frame."""
        patch = self.geometry.patch_px
        return self.geometry.groups(num_frames), height_px // patch, width_px // patch

    def deepstack_inputs(
        self, visual: Bool[Tensor, "video seq"], features: list[VideoFeatures]
    ) -> dict[str, Any]:
        """Return additional visual inputs of the decoder by argument name; none for most families.

        Args:
            visual: True at visual tokens.
            features: Features, one entry per row.
        """
        return {}

    def slice_deepstack(self, deepstack: dict[str, Any], part: slice) -> dict[str, Any]:
        """Return the result of `deepstack_inputs` restricted to some positions of the prompt."""
        return deepstack

    @property
    def name(self) -> str:
        """Folder or hub id that the model was loaded from, for error messages."""
        return str(self.config.name_or_path)

    @property
    def core(self) -> Any:  # noqa: ANN401 - transformers' models share no useful type
        """Model of transformers without the LoRA wrapper: vision tower, language model and head."""
        inner = self.model
        return inner.get_base_model() if hasattr(inner, "get_base_model") else inner

    @property
    def language_model(self) -> Any:  # noqa: ANN401 - the class depends on the family
        """Decoder of the model."""
        return getattr(self.core.model, self.decoder)

    def vision_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the parameters that features depend on: all except those of decoder and head."""
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
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Data type of the weights."""
        return next(self.parameters()).dtype

    def encode_video(self, frames: FrameBatch) -> VideoFeatures:
        """Return the merged visual features of one video's frames, which are already resized."""
        return self.encode_videos([frames])[0]

    def layout(
        self,
        pts_seconds: NDArray[np.float64],
        width_px: int,
        height_px: int,
        duration_seconds: float | None = None,
    ) -> Layout:
        """Return the layout of the visual tokens of frames, given their times and size.

        Args:
            pts_seconds: Presentation times of the frames (s).
            width_px: Width of the frames.
            height_px: Height of the frames.
            duration_seconds: Length of the whole video (s); None: unknown.
        """
        times = torch.from_numpy(pts_seconds)
        groups = group_times(times, self.geometry.frames_per_group)
        grid = self.grid(len(times), width_px, height_px)
        return Layout(grid, groups, times, duration_seconds=duration_seconds)

    def layout_of(self, frames: FrameBatch) -> Layout:
        """Return the layout of the visual tokens of frames that are already resized."""
        _, height, width, _ = frames.data.shape
        return self.layout(frames.pts_seconds, width, height, frames.duration_seconds)

    def num_visual_tokens(self, grid: tuple[int, int, int]) -> int:
        """Return the number of visual tokens of a grid."""
        groups, rows, columns = grid
        return groups * rows * columns // self.geometry.merge**2

    def embed(self, ids: Int[Tensor, "batch seq"]) -> Float[Tensor, "batch seq dim"]:
        """Return the embeddings of token ids."""
        out: Tensor = self.core.get_input_embeddings()(ids)
        return out

    def empty_state(self, batch: int) -> State:
        """Return the state of `batch` rows without any positions."""
        config = self.config.get_text_config()
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        empty = torch.zeros(batch, heads, 0, size, device=self.device, dtype=self.dtype)
        mask = torch.ones(batch, 0, dtype=torch.bool, device=self.device)
        start = torch.zeros(batch, dtype=torch.long, device=self.device)
        return State(((empty, empty),) * self.num_layers, mask, start)

    def prefill_videos(
        self,
        ids: Int[Tensor, "video seq"],
        mask: Bool[Tensor, "video seq"],
        features: list[VideoFeatures],
        *,
        recompute: bool = False,
    ) -> State:
        """Run the video prompts and return the state after them.

        Args:
            ids: Token ids, with one placeholder per visual token.
            mask: False at padding, which is on the left.
            features: Features of the videos, one entry per row.
            recompute: Whether the backward pass runs everything again in parts, to save memory.
        """
        visual: Tensor = ids == self.visual_token_id  # (video, seq)
        self._check_features(visual, features)
        merged = torch.cat([f.embeds for f in features])  # (all visual tokens, dim)
        embeds = self.embed(ids)
        # Rows and placeholders are in the same order as the features, so one scatter fills all.
        embeds = embeds.masked_scatter(visual[..., None], merged.to(embeds.dtype))
        positions, after = self.prompt_positions(ids, mask, features)
        state = self.empty_state(len(ids))
        deepstack = self.deepstack_inputs(visual, features)
        if not recompute:
            return self._run(embeds, mask, positions, after, state, (), **deepstack).state

        def run(part: slice, before: State) -> State:
            inputs = embeds[:, part], mask[:, part], positions[..., part]
            levels = self.slice_deepstack(deepstack, part)
            return self._run(*inputs, after, before, (), **levels).state

        return run_parts(run, ids.shape[1], state)

    def _check_features(
        self, visual: Bool[Tensor, "video seq"], features: list[VideoFeatures]
    ) -> None:
        """Raise an error unless each prompt has one visual token per feature vector.

        Raises:
            IncompatibleError: If the numbers differ. A scatter would fill what it can, silently.
        """
        pairs = zip(visual.sum(1).tolist(), features, strict=True)
        for row, (count, video) in enumerate(pairs):
            if count != len(video.embeds):
                raise IncompatibleError(
                    f"video {row} of the batch: its prompt must have one visual token per feature "
                    f"vector, got {count} tokens and {len(video.embeds)} vectors; "
                    "run 'vl cache verify'"
                )

    def extend(
        self,
        embeds: Float[Tensor, "batch seq dim"],
        state: State,
        mask: Bool[Tensor, "batch seq"] | None = None,
        layers: tuple[int, ...] = (),
        advances_position: Bool[Tensor, "batch seq"] | None = None,
    ) -> Extension:
        """Run more tokens on a state, with gradient, and return hidden states and new state.

        Choice: text, latents and answers have equal temporal, height and width position ids. These
        continue after the largest position id of the video.

        Args:
            embeds: Embeddings of the tokens to run.
            state: State of all tokens before them.
            mask: False at padding; None means no padding.
            layers: Layers to return hidden states of, counted from 1.
            advances_position: Mask of the tokens that take a new position id; the others share the
                one of the last token that did. None: all tokens except padding take a new one.
        """
        if mask is None:
            mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        # Number of new position ids up to and including each token: (batch, seq).
        steps = (mask if advances_position is None else advances_position).long().cumsum(1)
        # Left padding at the very start would get -1.
        flat = (state.next_position[:, None] + steps - 1).clamp(min=0)
        after = state.next_position + steps[:, -1]
        positions = self.text_positions(flat)
        return self._run(embeds, mask, positions, after, state, layers)

    def _run(
        self,
        embeds: Float[Tensor, "batch seq dim"],
        mask: Bool[Tensor, "batch seq"],
        positions: Int[Tensor, "*axes batch seq"],
        next_position: Int[Tensor, " batch"],
        state: State,
        layers: tuple[int, ...],
        **deepstack: Any,  # noqa: ANN401 - arguments of transformers
    ) -> Extension:
        """Run the decoder once, causally, on top of a state.

        Args:
            embeds: Embeddings of the tokens to run.
            mask: False at padding of these tokens.
            positions: Position ids of these tokens.
            next_position: Position id of the token after these.
            state: State of all tokens before.
            layers: Layers to return hidden states of.
            deepstack: Result of `deepstack_inputs`.
        """
        full_mask = torch.cat((state.mask, mask), 1)  # (batch, state seq + seq)
        decoder = self.language_model
        # A new cache object per call: appending to it leaves the keys and values of `state` alone.
        past: Any = DynamicCache(list(state.layers), config=decoder.config)
        # The argument is named `cache` since transformers 5.24.
        name = "cache" if "cache" in signature(decoder.forward).parameters else "past_key_values"
        padded = not bool(full_mask.all())
        alone = len(embeds) == 1 and not padded
        out = decoder(
            inputs_embeds=embeds,
            attention_mask=full_mask.long() if padded else None,
            position_ids=positions,
            use_cache=True,
            output_hidden_states=bool(layers),
            **{name: past},
            **(one_row(embeds.shape[1], full_mask.shape[1], embeds.device) if alone else {}),
            **deepstack,
        )
        keys_and_values = tuple((layer.keys, layer.values) for layer in past.layers)
        # Entry 0 of `hidden_states` is the input embeddings, entry i the output of layer i.
        by_layer = tuple(out.hidden_states[layer] for layer in layers)
        after = State(keys_and_values, full_mask, next_position)
        return Extension(out.last_hidden_state, by_layer, after)

    def logits(self, hidden: Float[Tensor, "*any dim"]) -> Float[Tensor, "*any vocab"]:
        """Return the next-token logits of last-layer hidden states."""
        out: Tensor = self.core.lm_head(hidden)
        return out

    def make_trainable(self, recipe: BackboneRecipe) -> None:
        """Add LoRA if the recipe asks for it, and enable gradients on the parts that it trains."""
        if recipe.train == "lora":
            self.model = with_lora(self.model, self.decoder, recipe.lora)
        if recipe.train == "full":
            self.language_model.requires_grad_(True)
            self.core.lm_head.requires_grad_(True)
        for name, parameter in self.vision_parameters():
            if "lora_" in name:
                raise AssertionError(f"adapters must stay out of the vision tower, got {name}")
            parameter.requires_grad_(recipe.train_vision)
