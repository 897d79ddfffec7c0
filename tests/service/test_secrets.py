"""Secrets stay out of configs."""

from typing import Any

import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.service.config import ServiceConfig
from tfrec.service.http.keys import make_key


@pytest.mark.parametrize(
    ("content", "field", "secret"),
    [
        ({"store": "redis://:hunter2@localhost:6379/0"}, "service.store", "hunter2"),
        ({"store": "redis://shop:hunter2@localhost"}, "service.store", "hunter2"),
        ({"server": "grpc://a:hunter2@localhost:8500"}, "service.server", "hunter2"),
        ({"guide": {"api_key": "hunter2"}}, "service.guide.api_key", "hunter2"),
        ({"http": {"keys": [{"password": "hunter2"}]}}, "service.http.keys.0.password", "hunter2"),
        ({"folder": "sk-abcdefghijklmnopqrstuvwxyz"}, "service.folder", "abcdefghij"),
        ({"folder": "Bearer hunter2"}, "service.folder", "hunter2"),
        ({"folder": "-----BEGIN PRIVATE KEY-----MIIE"}, "service.folder", "MIIE"),
        ({"folder": make_key("x", ["read"], None)[0]}, "service.folder", "tfrec_"),
    ],
)
def test_config_with_a_secret_is_refused_without_showing_it(
    content: dict[str, Any], field: str, secret: str
) -> None:
    with pytest.raises(UserError, match=rf"{field}: looks like .*environment variable") as caught:
        validate(ServiceConfig, content, "service")

    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"store": "redis://localhost:6379/0"},
        {"store": "env:SHOP_STORE", "http": {"keys_env": "SHOP_KEYS"}},
        {"http": {"keys": "service/keys.yaml", "log_key_env": "SHOP_LOG_KEY"}},
    ],
)
def test_config_without_secrets_is_taken(content: dict[str, Any]) -> None:
    validate(ServiceConfig, content, "service")


def test_store_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_STORE", "redis://:hunter2@localhost:6379/0")

    config = ServiceConfig(store="env:SHOP_STORE")

    assert config.store_url == "redis://:hunter2@localhost:6379/0"
    assert "hunter2" not in repr(config)


def test_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHOP_STORE", raising=False)

    with pytest.raises(UserError, match=r"service.store: 'env:SHOP_STORE': SHOP_STORE is not set"):
        _ = ServiceConfig(store="env:SHOP_STORE").store_url
