"""Making the cache that a config asks for."""

from tfrec.service.resilience.cache import Cache
from tfrec.service.resilience.config import ResilienceConfig, is_redis
from tfrec.service.resilience.memory_cache import MemoryCache
from tfrec.service.resilience.redis_cache import RedisCache


def open_cache(config: ResilienceConfig, store_url: str) -> Cache:
    """Makes the cache of slates.

    Replicas that share a feature store have to share the cache, or a slate of one would outlive an
    event that another one took. So it is in Redis where the store is.

    Args:
      config: the section.
      store_url: URL of the feature store.

    Returns:
      One in Redis, or one in the process.
    """
    url = config.cache.redis or (store_url if is_redis(store_url) else None)
    if url and config.cache.entries:
        return RedisCache(url, config)
    return MemoryCache(config.cache.entries, config.cache.keep)
