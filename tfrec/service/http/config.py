"""Addresses, keys and limits."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from tfrec.config import Duration, Section

Port = Annotated[int, Field(ge=0, le=65_535)]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class RateLimit(Section):
    """How often one caller may ask: a bucket of `burst` requests that fills `per_second`.

    Attributes:
      per_second: requests that come back each second.
      burst: requests that a caller who was quiet may make at once.
    """

    per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    burst: Annotated[int, Field(ge=1)]


class Limits(Section):
    """What is too much.

    Attributes:
      body_bytes: of a request.
      header_bytes: names and values of all headers, with the address.
      events: of one batch.
      body_seconds: until a request's body must be there.
    """

    body_bytes: Annotated[int, Field(ge=1024)] = 1_000_000
    header_bytes: Annotated[int, Field(ge=1024)] = 16_384
    events: Annotated[int, Field(ge=1)] = 1000
    body_seconds: Annotated[float, Field(gt=0)] = 30.0


class HttpConfig(Section):
    """Addresses, keys and limits.

    Attributes:
      host: address to listen on.
      port: to listen on; 0 picks a free one.
      hosts: names under which browsers may ask, besides `host`, as of a proxy before the service;
        on loopback other names are refused, so that no page reaches it by a name of its own.
      proxies: addresses of proxies whose `X-Forwarded-For` says who asks.
      keys: file of API keys, as `tfrec gateway-key` writes it.
      keys_env: name of an environment variable that holds the same.
      storefront: whether the pages for people are there; by default where no keys are needed.
      rate: limit of each key, or of each address where there is none; a key may have its own.
      limits: what is too much.
      log_requests: whether each request is logged; those that fail are.
      log_key_env: name of an environment variable that holds the key of ids in logs, so that they
        compare between starts and replicas; by default it is made at each start.
      drain: how long requests may run on when the service is stopped.
    """

    host: str = "127.0.0.1"
    port: Port = 8080
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    keys: Path | None = None
    keys_env: EnvironmentName | None = None
    storefront: bool | None = None
    rate: RateLimit | None = None
    limits: Limits = Limits()
    log_requests: bool = False
    log_key_env: EnvironmentName | None = None
    drain: Duration = 10

    @model_validator(mode="after")
    def _has_one_place_of_keys(self) -> "HttpConfig":
        if self.keys and self.keys_env:
            raise ValueError("keys and keys_env: both are set; keep one")
        return self

    @property
    def needs_keys(self) -> bool:
        """Whether callers need a key."""
        return bool(self.keys or self.keys_env)

    @property
    def shows_storefront(self) -> bool:
        """Whether the pages for people are there."""
        return not self.needs_keys if self.storefront is None else self.storefront
