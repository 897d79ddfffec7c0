"""`tfrec gateway` as callers meet it: one process, real sockets."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from gateway_process import GatewayProcess, running_gateway, write_served_shop
from shop import Shop

from tfrec.data.prepared import PreparedData
from tfrec.service.http.keys import KeyFile, Scope, make_key, write_keys

HOME, EVENTS = "/v1/recommendations", "/v1/events"
BUDGETS = ("gather", "sources", "rank", "explain")
_SECONDS = 60.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Name -> a key, and `file` -> where they are."""
    scopes: dict[str, tuple[Scope, ...]] = {
        "all": ("read", "users", "events", "erase", "metrics"),
        "reader": ("read",),
        "expired": ("read",),
    }
    made = {
        name: make_key(name, some, datetime(2020, 1, 1) if name == "expired" else None)
        for name, some in scopes.items()
    }
    file = tmp_path_factory.mktemp("keys") / "keys.yaml"
    write_keys(file, KeyFile(keys=tuple(kept for _, kept in made.values())))
    return {name: key for name, (key, _) in made.items()} | {"file": str(file)}


@pytest.fixture(scope="module")
def served(
    shop: Shop,
    prepared: PreparedData,
    keys: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    service = {
        "http": {"keys": keys["file"], "limits": {"body_bytes": 100_000}},
        "resilience": {"request": "60s", "budgets": dict.fromkeys(BUDGETS, "60s")},
    }
    folder = tmp_path_factory.mktemp("served")
    config = write_served_shop(shop.config(), prepared, folder, **service)
    with running_gateway(config) as process:
        yield process


@pytest.fixture(scope="module")
def client(served: GatewayProcess, keys: dict[str, str]) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {keys['all']}"}
    with httpx.Client(base_url=served.url, headers=headers, timeout=_SECONDS) as one:
        yield one


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def slate(client: httpx.Client, **asked: Any) -> list[str]:
    answer = client.post(HOME, json={"k": 5, **asked})
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


def send(client: httpx.Client, *rows: dict[str, Any]) -> list[str]:
    answer = client.post(EVENTS, json={"events": rows})
    assert answer.status_code == 200, answer.text
    return [verdict["status"] for verdict in answer.json()["verdicts"]]


def test_slate_has_items_with_their_reasons_and_the_model_that_chose_them(
    client: httpx.Client,
) -> None:
    answer = client.post(HOME, json={"user": "user-1", "k": 3, "explain": True}).json()

    assert len(answer["items"]) == 3
    assert [item["position"] for item in answer["items"]] == [1, 2, 3]
    assert all(item["why"] and item["reason"] for item in answer["items"])
    assert answer["models"] == {"toy": "1"}
    assert answer["fallbacks"] == []


def test_event_changes_the_next_slate(client: httpx.Client) -> None:
    first = slate(client, user="hider")[0]

    assert send(client, {"id": "h1", "type": "hide", "user": "hider", "item": first}) == [
        "accepted"
    ]

    assert first not in slate(client, user="hider")
    assert client.get("/v1/users/hider").json()["hidden"] == [first]


def test_event_that_is_sent_again_counts_once(client: httpx.Client) -> None:
    row = {"id": "c1", "type": "click", "user": "clicker", "item": "sku-001"}

    assert send(client, row, row) == ["accepted", "duplicate"]
    assert send(client, row) == ["duplicate"]
    assert client.get("/v1/users/clicker").json()["counts"]["click"] == 1


def test_bad_events_lose_no_good_one(client: httpx.Client) -> None:
    ahead = time.time() + 3600
    good = {"id": "g1", "type": "view", "session": "s1", "item": "sku-001"}

    verdicts = send(
        client, {**good, "id": "g2", "time": ahead}, 5, {**good, "type": "stare"}, good
    )  # fmt: skip

    assert verdicts == ["rejected", "rejected", "rejected", "accepted"]


def test_shopper_is_forgotten(client: httpx.Client) -> None:
    send(client, {"id": "e1", "type": "click", "user": "leaver", "item": "sku-003"})
    assert client.get("/v1/users/leaver").status_code == 200

    assert client.delete("/v1/users/leaver").json() == {"user": "leaver", "was_known": True}

    assert code(client.get("/v1/users/leaver")) == (404, "unknown_user")
    assert client.delete("/v1/users/leaver").json()["was_known"] is False
    assert len(slate(client, user="leaver")) == 5


def test_items_are_told_and_unknown_ones_named(client: httpx.Client) -> None:
    assert client.get("/v1/items/sku-001").json()["id"] == "sku-001"
    for answer in (
        client.get("/v1/items/sku-x"),
        client.post(HOME, json={"scenario": "similar", "items": ["sku-x"]}),
    ):
        assert code(answer) == (404, "unknown_item")
        assert "sku-x" in answer.json()["error"]["message"]


@pytest.mark.parametrize("announced", [True, False])
def test_body_of_ten_megabytes_is_refused_in_words(client: httpx.Client, announced: bool) -> None:
    body = b'{"events": [' + b" " * 10_000_000
    pieces = (body[start : start + 65_536] for start in range(0, len(body), 65_536))

    answer = client.post(
        EVENTS,
        content=body if announced else pieces,
        headers={"content-type": "application/json"},
    )

    assert code(answer) == (413, "body_too_large")
    assert client.get("/healthz").status_code == 200


def test_invalid_json_is_told_with_its_place(client: httpx.Client) -> None:
    headers = {"content-type": "application/json"}

    answer = client.post(HOME, content=b'{"user": "1",}', headers=headers)

    assert code(answer) == (400, "malformed_json")
    assert "character 12 (line 1, column 13)" in answer.json()["error"]["message"]


def test_what_is_no_http_is_refused(served: GatewayProcess) -> None:
    port = int(served.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("key", "user", "expected"),
    [
        ("expired", None, (401, "expired_key")),
        ("reader", "user-1", (403, "missing_scope")),
        (None, None, (401, "missing_key")),
    ],
)
def test_key_decides(
    served: GatewayProcess,
    keys: dict[str, str],
    key: str | None,
    user: str | None,
    expected: tuple[int, str],
) -> None:
    headers = {"authorization": f"Bearer {keys[key]}"} if key else {}

    answer = httpx.post(served.url + HOME, json={"user": user}, headers=headers, timeout=_SECONDS)

    assert code(answer) == expected


def test_readiness_and_metrics_tell_of_the_parts(client: httpx.Client) -> None:
    ready = client.get("/readyz")

    assert ready.status_code == 200
    assert ready.json()["parts"]["store"] == "ok"
    text = client.get("/metrics").text
    assert 'tfrec_gateway_http_requests_total{method="POST",route="/v1/recommendations"' in text
    assert 'tfrec_gateway_requests_total{scenario="home"' in text


def test_storefront_is_not_there_where_keys_are_needed(client: httpx.Client) -> None:
    assert code(client.get("/")) == (404, "unknown_address")


def test_signal_lets_a_request_end_and_leaves_no_id_in_the_log(
    served: GatewayProcess, keys: dict[str, str]
) -> None:
    """Ends the gateway of the other tests, so it is the last one."""
    port = int(served.url.rpartition(":")[2])
    body = json.dumps({"user": "user-1"}).encode()
    head = (
        f"POST {HOME} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {keys['all']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
        "expect: 100-continue\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.sendall(head.encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")

        served.process.send_signal(signal.SIGTERM)
        _wait_until_refused(port)
        connection.sendall(body)

        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
    assert served.process.wait(_SECONDS) == 0
    log = served.log.read_text()
    assert "Traceback" not in log
    for shopper in ("user-1", "hider", "clicker", "leaver"):
        assert shopper not in log


def _wait_until_refused(port: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            return
        except OSError:
            pass  # as it stops it may leave somebody waiting
    raise AssertionError("the gateway still takes connections")
