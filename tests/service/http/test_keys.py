"""Keys: who may do what, until when."""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from asking import Asking

from tfrec.errors import UserError
from tfrec.service.http.config import HttpConfig, RateLimit
from tfrec.service.http.errors import HttpError
from tfrec.service.http.keys import (
    SCOPES,
    KeyFile,
    Keys,
    Scope,
    hash_key,
    make_key,
    read_keys,
    write_keys,
)

Ask = Callable[..., Asking]
NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
HOME, EVENTS = "/v1/recommendations", "/v1/events"
TAKEN = f"{{id: 0123abcd, name: x, hash: {'0' * 64}, scopes: [read]}}"
EVENT = {"events": [{"id": "1"}]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


@pytest.fixture
def add(file: Path) -> Callable[..., dict[str, str]]:
    """Adds a key to the file, and returns the header that one comes with."""

    def run(*scopes: Scope, **key: Any) -> dict[str, str]:
        before = read_keys(file).keys if file.exists() else ()
        written, kept = make_key("somebody", scopes, **{"expires": None, **key})
        write_keys(file, KeyFile(keys=(*before, kept)))
        return {"authorization": f"Bearer {written}"}

    return run


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_file_has_hashes_for_its_owner_only(file: Path, add: Callable[..., dict[str, str]]) -> None:
    key = add("read")["authorization"].removeprefix("Bearer ")

    assert key not in file.read_text()
    assert key.rpartition("_")[2] not in file.read_text()
    assert hash_key(key) in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_two_keys_have_nothing_in_common() -> None:
    (one, kept), (other, _) = (make_key("x", ["read"], None) for _ in range(2))

    assert one != other
    assert kept.id in one
    assert len(one) > 50


@pytest.mark.parametrize("scope", SCOPES)
def test_key_opens_what_its_scope_names_and_nothing_else(
    ask: Ask, file: Path, add: Callable[..., dict[str, str]], scope: Scope
) -> None:
    headers = add(scope)
    client = ask(HttpConfig(keys=file))
    asked: dict[str, tuple[str, str, Any]] = {
        "read": ("POST", HOME, {}),
        "users": ("GET", "/v1/users/user-1", None),
        "events": ("POST", EVENTS, EVENT),
        "erase": ("DELETE", "/v1/users/user-1", None),
        "metrics": ("GET", "/metrics", None),
    }

    statuses = {
        name: client.ask(method, path, json=body, headers=headers).status_code
        for name, (method, path, body) in asked.items()
    }

    assert statuses == {name: 200 if name == scope else 403 for name in asked}


@pytest.mark.parametrize(("path", "body"), [(HOME, {}), ("/v1/guide", {"message": "tea"})])
def test_slate_of_another_shopper_needs_the_scope_that_reads_histories(
    ask: Ask,
    gateway: Any,
    file: Path,
    add: Callable[..., dict[str, str]],
    path: str,
    body: dict[str, Any],
) -> None:
    reader, shop = add("read"), add("read", "users")
    client = ask(HttpConfig(keys=file))
    about = {**body, "user": "user-1"}

    assert code(client.post(path, json=about, headers=reader)) == (403, "missing_scope")
    assert gateway.asked == []
    assert client.post(path, json=about, headers=shop).status_code == 200
    anonymous = {**body, "session": "9f2c"}
    assert client.post(path, json=anonymous, headers=reader).status_code == 200


def test_without_a_key_one_learns_that_one_is_needed_and_whether_the_service_lives(
    ask: Ask, file: Path, add: Callable[..., dict[str, str]]
) -> None:
    add("read")
    client = ask(HttpConfig(keys=file))

    answer = client.post(HOME, json={})

    assert code(answer) == (401, "missing_key")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert code(client.get("/metrics")) == (401, "missing_key")
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert client.get(path).status_code == 200


@pytest.mark.parametrize(
    "spoil",
    [
        lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"),
        lambda key: key.replace("Bearer tfrec_", "Bearer tfrec_00000000"),
        lambda key: "Bearer tfrec_0000abcd_" + "x" * 43,
        lambda key: key.removeprefix("Bearer "),
        lambda key: key.replace("Bearer", "Basic"),
        lambda key: "",
    ],
)
def test_key_that_is_not_known_is_refused_even_where_none_is_needed(
    ask: Ask,
    file: Path,
    add: Callable[..., dict[str, str]],
    spoil: Callable[[str], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    written = spoil(add("read")["authorization"])
    client = ask(HttpConfig(keys=file))

    for path in ("/v1/items/tea%2Fgreen", "/healthz"):
        answer = client.get(path, headers={"authorization": written})
        assert code(answer) == (401, "unknown_key")
        assert not written or written not in answer.text + caplog.text


def test_expired_key_is_told_so(ask: Ask, file: Path, add: Callable[..., dict[str, str]]) -> None:
    headers = add("read", expires=datetime(2020, 2, 1))

    answer = ask(HttpConfig(keys=file)).post(HOME, json={}, headers=headers)

    assert code(answer) == (401, "expired_key")
    assert "2020-02-01T00:00:00+00:00" in answer.json()["error"]["message"]


def test_key_is_taken_until_the_second_it_expires(
    file: Path, add: Callable[..., dict[str, str]]
) -> None:
    authorization = add("read", expires=NOW)["authorization"]
    keys = Keys.of(HttpConfig(keys=file), {})
    assert keys

    assert keys.identify(authorization, NOW - timedelta(seconds=1))
    with pytest.raises(HttpError, match="expired"):
        keys.identify(authorization, NOW)


def test_added_and_removed_keys_count_at_once(
    ask: Ask, file: Path, add: Callable[..., dict[str, str]]
) -> None:
    first = add("read")
    client = ask(HttpConfig(keys=file))

    second = add("read")
    assert client.post(HOME, json={}, headers=second).status_code == 200
    write_keys(file, KeyFile(keys=read_keys(file).keys[1:]))
    assert code(client.post(HOME, json={}, headers=first)) == (401, "unknown_key")
    assert client.post(HOME, json={}, headers=second).status_code == 200


@pytest.mark.parametrize("content", ["keys: {", "keys: [{id: 1}]", None])
def test_file_that_breaks_meanwhile_changes_nothing(
    ask: Ask,
    file: Path,
    add: Callable[..., dict[str, str]],
    content: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    headers = add("read")
    client = ask(HttpConfig(keys=file))

    file.unlink()
    if content is not None:
        file.write_text(content)

    assert client.post(HOME, json={}, headers=headers).status_code == 200
    assert caplog.text.count("the keys stay as they were") == 1


def test_keys_may_come_from_the_environment(
    ask: Ask,
    file: Path,
    add: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers = add("read")
    monkeypatch.setenv("SHOP_KEYS", file.read_text())
    client = ask(HttpConfig(keys_env="SHOP_KEYS"))

    assert client.post(HOME, json={}, headers=headers).status_code == 200
    assert client.post(HOME, json={}).status_code == 401


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "make one with tfrec gateway-key"),
        ("keys: {", "not valid YAML"),
        ("- a", "holds no mapping"),
        ("keys: [{id: 0123abcd, name: x, hash: abc, scopes: [read]}]", "hash"),
        (f"keys: [{{id: 0123abcd, name: x, hash: {'0' * 64}, scopes: [write]}}]", "scopes"),
        (f"keys: [{{id: 0123abcd, name: x, hash: {'0' * 64}, scopes: []}}]", "scopes"),
        (
            "keys: "
            + str(
                [{"id": "0123abcd", "name": n, "hash": "0" * 64, "scopes": ["read"]} for n in "xy"]
            ),
            "two of them have one id",
        ),
    ],
)
def test_file_that_says_too_little_is_refused(
    file: Path, content: str | None, message: str
) -> None:
    if content is not None:
        file.write_text(content)

    with pytest.raises(UserError, match=message) as caught:
        Keys.of(HttpConfig(keys=file), {})

    assert str(file) in str(caught.value)


def test_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(UserError, match=r"keys_env: 'SHOP_KEYS': not set"):
        Keys.of(HttpConfig(keys_env="SHOP_KEYS"), {})


def test_key_has_a_rate_of_its_own(
    ask: Ask, file: Path, add: Callable[..., dict[str, str]]
) -> None:
    slow = add("read", rate=RateLimit(per_second=0.01, burst=2))
    quick = add("read")
    client = ask(HttpConfig(keys=file))

    statuses = [client.post(HOME, json={}, headers=slow).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert client.post(HOME, json={}, headers=quick).status_code == 200


def test_keys_are_read_as_one_user_wrote_them(file: Path) -> None:
    _, kept = make_key("shop", ["read", "read"], NOW, RateLimit(per_second=1, burst=2))

    write_keys(file, KeyFile(keys=(kept,)))

    assert read_keys(file).keys == (kept,)
    assert kept.scopes == ("read",)
    assert [one.name for one in file.parent.iterdir()] == [file.name]
