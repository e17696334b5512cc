"""The `data` section of a recipe: training and evaluation data."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Base class of all recipe sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, defer_build=True
    )


Visible = Literal["video", "endpoints", "shuffled", "none"]


class MediaData(Section):
    """Fields that all data sets of video files share."""

    on_bad: Literal["fail", "skip"] = "fail"
    """Policy for videos that cannot be read. `fail` stops at the first one, so that no data is lost
    unnoticed; `skip` leaves out the triplets of unreadable videos. An evaluation always goes on:
    with `fail`, questions about such videos count as not right, and the exit code is 6."""
    max_bad_fraction: float = Field(0.01, ge=0, le=1)
    """Largest fraction of videos, from 0 to 1, that `on_bad: skip` may leave out; if more are
    unreadable, the run stops. The default allows for a few damaged files. 0: none."""
    target: Literal["answer", "rationale"] = "answer"
    """Text that the model learns to write: the answer, or the triplet's rationale followed by the
    answer. `rationale` is the chain-of-thought baseline and needs `latent: null`."""
    visible: Visible = "video"
    """Part of each video that the model sees. All values but `video` are leak checks: `endpoints`
    shows the first and last frame group, `shuffled` all groups in random order, and `none` zeros
    instead of features. A model trained with one of them must not do better than guessing."""


class TripletsData(MediaData):
    """Your own (video, question, answer) triplets."""

    type: Literal["triplets"] = "triplets"
    """Kind of data set."""
    path: str = Field(min_length=1)
    """JSON Lines file of the training triplets, relative to the folder of the recipe file."""
    eval_path: str | None = None
    """JSON Lines file of the evaluation triplets, relative to the folder of the recipe file. null:
    the run has no evaluation data."""
    media_root: str | None = None
    """Folder that contains all videos; the video paths in the triplets are relative to it. The
    folder itself is relative to that of the recipe file. null: the folder of `path`."""


class EventWorldData(MediaData):
    """EventWorld data: rendered H.264 videos and questions with a known number of hops."""

    type: Literal["eventworld"] = "eventworld"
    """Kind of data set."""
    num_videos: int = Field(512, ge=1)
    """Number of videos in the `train` split."""
    questions_per_video: int = Field(8, ge=1)
    """Largest number of questions per video. Some videos get fewer, so that no answer becomes more
    frequent than the others."""
    families: list[str] = Field(["all"], min_length=1)
    """Question families to ask. `all`, `1-2 hops` and `3+ hops` name groups of families."""
    rationale: Literal["full", "short", "noisy"] = "full"
    """Kind of rationale, used with `target: rationale`. `full` lists every event, `short` only the
    events that the answer needs, and `noisy` every event with a fifth of its colours, shapes and
    directions wrong."""
    eval_splits: list[str] = Field(["test_iid"], min_length=1)
    """Splits to evaluate on."""
    num_eval_videos: int = Field(128, ge=1)
    """Number of videos in each evaluation split."""


class EventWorldStreamData(Section):
    """Endless EventWorld data for pretraining: each video is rendered in memory and seen once."""

    type: Literal["eventworld_stream"] = "eventworld_stream"
    """Kind of data set."""
    split: Literal["train", "pretrain_1", "pretrain_2"] = "train"
    """Kind of videos: `train` has four events per video, `pretrain_1` one event, and `pretrain_2`
    one to four events."""
    questions_per_video: int = Field(6, ge=1)
    """Largest number of questions per video. Some videos get fewer, so that no answer becomes more
    frequent than the others."""
    families: list[str] = Field(["describe", "1-2 hops"], min_length=1)
    """Question families to ask. `describe`, `1-2 hops`, `3+ hops` and `all` name groups of
    families."""
    options_fraction: float = Field(0.0, ge=0, le=1)
    """Fraction of the questions, from 0 to 1, that list two to six options with the answer among
    them. 0: none."""
    forms_fraction: float = Field(0.0, ge=0, le=1)
    """Fraction of the questions, from 0 to 1, that ask for another form of answer: a full sentence,
    the reasoning first, or a wait of some full stops. 0: bare answers only."""
    first_index: int = Field(0, ge=0)
    """Index of the first video. A later pretraining stage sets it past the videos that earlier
    stages have used."""


Data = Annotated[TripletsData | EventWorldData | EventWorldStreamData, Field(discriminator="type")]
