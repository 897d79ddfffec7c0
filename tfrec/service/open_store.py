"""Opening a feature store by its URL."""

from pathlib import Path

from tfrec.errors import UserError
from tfrec.service.feature_store import FeatureStore
from tfrec.service.online_features import OnlineFeatures
from tfrec.service.redis_store import RedisStore
from tfrec.service.sqlite_store import SqliteStore

_SQLITE, _REDIS = "sqlite:///", ("redis://", "rediss://")


def open_store(url: str, online: OnlineFeatures) -> FeatureStore:
    """Opens a feature store.

    Args:
      url: `sqlite:///FILE`, relative to the working directory unless the file begins with another
        slash, or `redis://HOST:PORT/DATABASE`.
      online: what events change.

    Returns:
      The store; Redis is connected to when it is first asked.

    Raises:
      UserError: if the URL is neither.
    """
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return SqliteStore(Path(url.removeprefix(_SQLITE)), online)
    if url.startswith(_REDIS):
        try:
            return RedisStore(url, online)
        except ValueError as error:
            raise UserError(f"store: {url!r}: {error}") from None
    raise UserError(
        f"store: {url!r}: no store; give sqlite:///service/features.sqlite or "
        "redis://localhost:6379/0"
    )
