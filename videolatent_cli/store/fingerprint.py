"""The key of a cache row."""

from videolatent_cli.recipe.resolved import digest

Window = tuple[float | None, float | None]


def cache_key(content_id: str, window: Window, sampling_hash: str, fingerprint: str) -> str:
    """Return 32 hexadecimal digits for (content, part of the video, contract, encoder)."""
    return digest([content_id, list(window), sampling_hash, fingerprint], 32)
