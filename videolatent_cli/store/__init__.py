"""LanceDB tables: they know arrows and bytes, not models."""

from videolatent_cli.store.features import CacheReport, FeatureCache
from videolatent_cli.store.fingerprint import Window, cache_key
from videolatent_cli.store.rows import CachedVideo

__all__ = ["CacheReport", "CachedVideo", "FeatureCache", "Window", "cache_key"]
