"""The port, who may reach it, and the address that is told."""

import socket

import pytest

from tfrec.config import validate
from tfrec.errors import UserError
from tfrec.service.http.config import HttpConfig
from tfrec.service.http.server import address, check_access, reserve


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "shop.example"])
def test_others_need_keys_unless_it_is_said_that_they_do_not(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEYS", "keys: []")
    with pytest.raises(UserError, match=r"others could read .*gateway-key.*--insecure"):
        check_access(HttpConfig(host=host))

    check_access(HttpConfig(host=host), insecure=True)
    check_access(HttpConfig(host=host, keys_env="SHOP_KEYS"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    check_access(HttpConfig(host=host))


def test_port_is_taken_but_nobody_is_let_wait_on_it() -> None:
    with reserve(HttpConfig(port=0)) as taken:
        port = taken.getsockname()[1]
        assert address(HttpConfig(), taken) == f"http://127.0.0.1:{port}"
        with socket.socket() as client, pytest.raises(ConnectionRefusedError):
            client.connect(("127.0.0.1", port))


def test_address_of_version_six_is_in_brackets() -> None:
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        assert address(HttpConfig(host="::1"), some).startswith("http://[::1]:")


def test_port_in_use_is_named_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError, match=rf"127.0.0.1:{port} \(.*in use.*another --port"):
            reserve(HttpConfig(port=port))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"port": 70_000}, "service.http.port: 70000"),
        ({"port": "http"}, "service.http.port: 'http'"),
        ({"rate": {"per_second": 0, "burst": 1}}, "service.http.rate.per_second: 0"),
        ({"rate": {"per_second": 1}}, "service.http.rate.burst: missing"),
        ({"limits": {"body_bytes": 10}}, "service.http.limits.body_bytes: 10"),
        ({"keys": "a.yaml", "keys_env": "A"}, "keys and keys_env: both are set; keep one"),
        ({"keys_env": "no name"}, "service.http.keys_env: 'no name'"),
        ({"tls": True}, "service.http.tls: unknown key"),
    ],
)
def test_setting_that_cannot_be_right_is_named(content: dict, message: str) -> None:
    with pytest.raises(UserError) as caught:
        validate(HttpConfig, content, "service.http")

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (HttpConfig(), True),
        (HttpConfig(keys_env="A"), False),
        (HttpConfig(keys_env="A", storefront=True), True),
        (HttpConfig(storefront=False), False),
    ],
)
def test_pages_are_shown_by_default_where_no_keys_are_needed(
    config: HttpConfig, shown: bool
) -> None:
    assert config.shows_storefront is shown
