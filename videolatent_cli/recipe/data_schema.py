"""The `data` section of a recipe: what is learned from."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Base of all sections: frozen, and closed against unknown keys."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True
    )


Visible = Literal["video", "endpoints", "shuffled", "none"]


class MediaData(Section):
    """What all data sets of video files share."""

    on_bad: Literal["fail", "skip"] = "fail"
    """What to do with videos that cannot be read: stop, or leave their triplets out."""
    max_bad_fraction: float = Field(0.01, ge=0, le=1)
    """With `on_bad: skip`, the largest fraction of videos that may be left out before the run
    stops all the same."""
    target: Literal["answer", "rationale"] = "answer"
    """What is trained on: the answer, or the triplet's rationale and then the answer (the
    chain-of-thought baseline; needs `latent: null`)."""
    visible: Visible = "video"
    """What the model sees of each video. All but `video` are leak checks: its first and last frame
    group, its groups in random order, or nothing; such a model must not do better than guess."""


class TripletsData(MediaData):
    """Your own (video, question, answer) triplets."""

    type: Literal["triplets"] = "triplets"
    """Kind of data set."""
    path: str = Field(min_length=1)
    """Training triplets, JSON Lines; relative to the recipe file."""
    eval_path: str | None = None
    """Triplets for evaluation; null: the run has no evaluation of its own."""
    media_root: str | None = None
    """Folder below which all videos lie; null: the folder of the triplet file."""


class EventWorldData(MediaData):
    """Rendered EventWorld videos: real H.264 files with questions of known depth."""

    type: Literal["eventworld"] = "eventworld"
    """Kind of data set."""
    num_videos: int = Field(512, ge=1)
    """Videos of the `train` split."""
    questions_per_video: int = Field(8, ge=1)
    """Largest number of questions about one video."""
    families: list[str] = Field(["all"], min_length=1)
    """Question families; `all`, `1-2 hops` and `3+ hops` name groups of them."""
    rationale: Literal["full", "short", "noisy"] = "full"
    """Rationale with `target: rationale`: every event, those that are needed, or every event with
    a fifth of its words wrong."""
    eval_splits: list[str] = Field(["test_iid"], min_length=1)
    """Splits that the evaluation uses."""
    num_eval_videos: int = Field(128, ge=1)
    """Videos of each evaluation split."""


class EventWorldStreamData(Section):
    """EventWorld without end: each video is rendered in memory and seen once (pretraining)."""

    type: Literal["eventworld_stream"] = "eventworld_stream"
    """Kind of data set."""
    split: Literal["train", "pretrain_1", "pretrain_2"] = "train"
    """Kind of videos: four events each as in `train`, one event, or one to four."""
    questions_per_video: int = Field(6, ge=1)
    """Largest number of questions about one video."""
    families: list[str] = Field(["describe", "1-2 hops"], min_length=1)
    """Question families; `describe`, `1-2 hops`, `3+ hops` and `all` name groups of them."""
    options_fraction: float = Field(0.0, ge=0, le=1)
    """Share of the questions that list two to six options, the right one among them."""
    forms_fraction: float = Field(0.0, ge=0, le=1)
    """Share of the questions that ask for a sentence, for the reasoning first, or for a wait."""
    first_index: int = Field(0, ge=0)
    """Index of the first video."""


Data = Annotated[TripletsData | EventWorldData | EventWorldStreamData, Field(discriminator="type")]
