"""LanceDB tables: they know arrows and bytes, not models."""

from videolatent_cli.store.features import CachedVideo, CacheReport, FeatureCache
from videolatent_cli.store.fingerprint import Window, cache_key

__all__ = ["CacheReport", "CachedVideo", "FeatureCache", "Window", "cache_key"]
