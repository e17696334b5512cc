"""Documents about recipes, data and the feature cache."""

from typing import Literal

from pydantic import Field

from docs_build.documents.part import Part


class PlanTokens(Part):
    """Positions of the training triplets: video, question, latents and answer."""

    min: int
    """Positions of the shortest triplet."""
    mean: float
    """Mean number of positions."""
    max: int
    """Positions of the longest triplet."""
    histogram: list[tuple[int, int, int, float]]
    """Up to 8 bins of equal width: lowest value, highest value, number of triplets, share of
    triplets. Empty bins are left out."""


class PlanDocument(Part):
    """Estimated cost of a recipe, printed by `vl plan --json`."""

    schema_: Literal["vl.plan/1"] = Field(alias="schema")
    triplets: int
    """Number of training triplets."""
    eval_triplets: int
    """Number of triplets of all evaluation splits."""
    videos: int
    """Number of video files."""
    tokens: PlanTokens
    """Positions of the training triplets."""
    longest_triplet: str
    """Id of the triplet with the most positions."""
    cache_bytes: int
    """Size of the complete feature cache of this recipe (bytes)."""
    cached_videos: int
    """Number of clips that the cache contains now."""
    steps: int
    """Number of optimizer steps of the whole run."""
    steps_done: int
    """Number of steps that the run folder of the recipe has already done."""
    estimated_memory_bytes: int
    """Peak memory of training: of the GPU, or of the process on a CPU (bytes)."""
    device: Literal["cpu", "cuda"]
    """Device of the estimates."""
    estimated_seconds: float
    """Time of the remaining steps (s)."""


class DataCheckDocument(Part):
    """Result of opening every video, printed by `vl data check --json`."""

    schema_: Literal["vl.data-check/1"] = Field(alias="schema")
    videos: int
    """Number of videos."""
    bad: dict[str, str]
    """Reason why a video cannot be read, by path."""
    outside: list[str]
    """Reasons of parts that lie outside of their videos; each names a triplet."""
    remarks: dict[str, list[str]]
    """Differences between a video as it is stored and as it is shown, in words, by path."""


class CacheStatusDocument(Part):
    """Cached share of a recipe's videos, printed by `vl cache status --json`."""

    schema_: Literal["vl.cache-status/1"] = Field(alias="schema")
    folder: str
    """Folder of the cache."""
    wanted: int
    """Number of clips that the recipe uses; clips of equal content count once."""
    cached: int
    """Number of these clips that the cache contains."""
    size_bytes: int
    """Size of the cache on disk (bytes)."""


class CacheBuildDocument(Part):
    """Result of filling the cache, printed by `vl cache build --json`."""

    schema_: Literal["vl.cache-build/1"] = Field(alias="schema")
    folder: str
    """Folder of the cache."""
    wanted: int
    """Number of clips that the recipe uses; clips of equal content count once."""
    cached: int
    """Number of these clips that the cache contains now."""
    size_bytes: int
    """Size of the cache on disk (bytes)."""
    encoded: int
    """Number of clips that this command encoded."""
    left_out: dict[str, str]
    """Reason why a video was left out, by path; or a triplet whose part lies outside, by id."""
    seconds: float
    """Duration of the command (s)."""


class CacheVerifyDocument(Part):
    """Result of reading every row back, printed by `vl cache verify --json`."""

    schema_: Literal["vl.cache-verify/1"] = Field(alias="schema")
    rows: int
    """Number of rows."""
    bad_keys: list[str]
    """Keys of rows with other bytes than were written."""
    doubled_keys: list[str]
    """Keys that more than one row has."""
