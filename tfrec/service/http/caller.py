"""Who asks, what they may do, and of whom they speak."""

from collections.abc import Sequence

from tfrec.service.http.errors import HttpError
from tfrec.service.http.keys import SCOPES, Key, Scope

_UNLIMITED = frozenset(SCOPES)
_SHOPPERS = ("user", "session")


class Caller:
    """Who makes a request.

    Attributes:
      name: the id of the key, or the address; of the bucket that is asked from, and in logs.
      events: that the request sends.
    """

    def __init__(self, address: str, key: Key | None, needs_key: bool) -> None:
        """Takes who it is.

        Args:
          address: of the client.
          key: that the request came with; None if it came without.
          needs_key: whether one may do nothing without.
        """
        self.key, self.name = key, f"key {key.id}" if key else address
        self.events: Sequence[object] = ()
        self._shoppers: list[str] = []
        self._scopes = frozenset(key.scopes) if key else frozenset()
        self._needs_key = needs_key
        if not needs_key:
            self._scopes = _UNLIMITED

    def require(self, scope: Scope) -> None:
        """Lets only those pass who may do something.

        Raises:
          HttpError: 401 without a key, 403 if the key has not the scope.
        """
        if scope in self._scopes:
            return
        if self.key is None:
            headers = {"www-authenticate": 'Bearer realm="tfrec"'}
            message = "a key is needed; send Authorization: Bearer tfrec_..."
            raise HttpError(401, "missing_key", message, headers=headers)
        message = f"the key has not the scope {scope!r}; ask for one that has"
        raise HttpError(403, "missing_scope", message)

    def note(self, *shoppers: str | None) -> None:
        """Notes of whom a request speaks."""
        self._shoppers += filter(None, shoppers)

    @property
    def shoppers(self) -> list[str]:
        """Ids that the request names, none of which may get into a log."""
        rows = [row for row in self.events if isinstance(row, dict)]
        sent = [row.get(name) for row in rows for name in _SHOPPERS]
        found = [*self._shoppers, *(str(one) for one in sent if isinstance(one, str | int))]
        return list(dict.fromkeys(found))
