"""Tables in LanceDB: the feature cache and libraries. They store arrays and know no models."""

from videolatent_cli.store.feature_rows import CachedVideo, cache_key
from videolatent_cli.store.features import CacheReport, FeatureCache

__all__ = ["CacheReport", "CachedVideo", "FeatureCache", "cache_key"]
