"""Where a model server listens."""

import re
from typing import NamedTuple

from tfrec.errors import UserError

_PORTS = {"grpc": 8500, "http": 8501}


class Address(NamedTuple):
    """A protocol, grpc or http, and where it is spoken."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Reads `grpc://host:port` or `http://host:port`; ports default to 8500 and 8501.

        Raises:
          UserError: if `url` is something else.
        """
        match = re.fullmatch(r"(grpc|http)://(\[[^\]]+\]|[^:/]+)(?::(\d{1,5}))?/?", url)
        if match is None:
            raise UserError(
                f"{url}: is no model server's address; give grpc://host:8500 or http://host:8501"
            )
        scheme, host, port = match.groups()
        return cls(scheme, host, int(port or _PORTS[scheme]))

    def __str__(self) -> str:
        """Reads like `host:8500`."""
        return f"{self.host}:{self.port}"
