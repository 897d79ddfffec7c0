"""What every request passes: limits of size, time and number, names of the service, and logs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any

import pytest
from asking import Asking

from tfrec.errors import UserError
from tfrec.service.http.app import make_app
from tfrec.service.http.body import LimitedBody
from tfrec.service.http.config import HttpConfig, Limits, RateLimit
from tfrec.service.http.errors import HttpError
from tfrec.service.http.guard import is_loopback
from tfrec.service.http.log_names import LogNames
from tfrec.service.http.rates import Rates

Ask = Callable[..., Asking]
HOME = "/v1/recommendations"
JSON = {"content-type": "application/json"}
SMALL = HttpConfig(limits=Limits(body_bytes=1024, header_bytes=2000))


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 512):
        yield b" " * 512


def test_body_over_the_limit_is_refused_by_its_announced_length(ask: Ask, gateway: Any) -> None:
    answer = ask(SMALL).post(HOME, content=b" " * 1025, headers=JSON)

    assert code(answer) == (413, "body_too_large")
    assert "1,024 bytes" in answer.json()["error"]["message"]
    assert answer.headers["connection"] == "close"
    assert gateway.asked == []


def test_body_without_a_length_is_refused_once_it_is_over_the_limit(ask: Ask) -> None:
    answer = ask(SMALL).post(HOME, content=in_pieces(4096), headers=JSON)

    assert code(answer) == (413, "body_too_large")


def test_body_up_to_the_limit_is_taken(ask: Ask) -> None:
    body = b"{" + b" " * 1022 + b"}"

    assert ask(SMALL).post(HOME, content=body, headers=JSON).status_code == 200


def limited(
    messages: list[dict[str, Any]], headers: dict[bytes, bytes], **limits: Any
) -> tuple[LimitedBody, list[dict[str, Any]]]:
    left = list(messages)

    async def receive() -> MutableMapping[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return LimitedBody(receive, headers, Limits(**limits)), left


def read(body: LimitedBody) -> HttpError:
    async def run() -> None:
        await body.receive()

    with pytest.raises(HttpError) as caught:
        asyncio.run(run())
    return caught.value


def test_rest_of_a_body_that_is_too_large_is_read_away_so_that_the_client_sees_the_answer() -> None:
    part = {"body": b" " * 1000, "more_body": True}
    body, left = limited(
        [part] * 5 + [{"body": b" "}], {b"content-length": b"5001"}, body_bytes=1024
    )

    assert read(body).status == 413
    assert left == []


def test_client_that_waits_to_be_told_is_told_at_once() -> None:
    headers = {b"content-length": b"5000", b"expect": b"100-continue"}
    body, left = limited([{"body": b" " * 5000}], headers, body_bytes=1024)

    assert read(body).status == 413
    assert len(left) == 1


def test_body_that_does_not_come_is_not_waited_for() -> None:
    body, _ = limited([], {b"content-length": b"5"}, body_seconds=0.01)

    assert (error := read(body)).status == 408
    assert "within 0.01 s" in error.message


def test_headers_over_the_limit_are_refused(ask: Ask) -> None:
    client = ask(SMALL)

    assert code(client.get("/healthz", headers={"x": "y" * 2000})) == (431, "headers_too_large")
    assert code(client.get(f"/v1/items/{'y' * 2000}")) == (431, "headers_too_large")


def test_who_asks_too_often_is_told_when_to_ask_again(ask: Ask) -> None:
    client = ask(HttpConfig(rate=RateLimit(per_second=0.001, burst=2)))

    answers = [client.post(HOME, json={}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert code(answers[2]) == (429, "too_many_requests")
    assert 900 < int(answers[2].headers["retry-after"]) <= 1001
    assert client.get("/healthz").status_code == 200


def test_each_address_has_a_limit_of_its_own(gateway: Any) -> None:
    app = make_app(gateway, HttpConfig(rate=RateLimit(per_second=0.001, burst=1)))

    with Asking(app, address="10.0.0.1") as one, Asking(app, address="10.0.0.2") as other:
        assert one.post(HOME, json={}).status_code == 200
        assert other.post(HOME, json={}).status_code == 200
        assert one.post(HOME, json={}).status_code == 429


def test_wrong_keys_are_not_tried_without_end(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEYS", "keys: []")
    client = ask(HttpConfig(keys_env="SHOP_KEYS", rate=RateLimit(per_second=0.001, burst=2)))
    headers = {"authorization": "Bearer tfrec_0000abcd_" + "x" * 43}

    statuses = [client.post(HOME, json={}, headers=headers).status_code for _ in range(3)]

    assert statuses == [401, 401, 429]


def test_bucket_fills_with_time_and_not_over_its_size() -> None:
    rates, limit = Rates(), RateLimit(per_second=2, burst=3)

    assert [rates.take("a", limit, 0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert rates.take("a", limit, 0.4) == pytest.approx(0.1)
    assert rates.take("a", limit, 0.5) == 0
    assert [rates.take("a", limit, 1000) for _ in range(4)] == [0, 0, 0, 0.5]


def test_callers_who_were_quiet_are_forgotten() -> None:
    rates, limit = Rates(most_callers=2), RateLimit(per_second=0.001, burst=1)
    for caller in ("a", "b", "b", "c"):
        rates.take(caller, limit, 0)

    assert rates.take("c", limit, 0) > 0
    assert rates.take("a", limit, 0) == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST:1"])
def test_loopback_is_asked_by_its_own_names(ask: Ask, host: str) -> None:
    assert ask().get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1@x", "", "a:b"]
)
def test_page_that_gave_loopback_a_name_of_its_own_is_refused(
    ask: Ask, gateway: Any, host: str
) -> None:
    answer = ask().post(HOME, json={}, headers={"host": host})

    assert code(answer) == (421, "unknown_host")
    assert gateway.asked == []


def test_names_of_a_proxy_are_taken(ask: Ask) -> None:
    client = ask(HttpConfig(hosts=("shop.example",)))

    assert client.get("/healthz", headers={"host": "Shop.example:443"}).status_code == 200
    assert client.get("/healthz", headers={"host": "other.example"}).status_code == 421


def test_other_addresses_are_asked_by_any_name_unless_some_are_given(ask: Ask) -> None:
    anyhow = ask(HttpConfig(host="0.0.0.0"))
    named = ask(HttpConfig(host="0.0.0.0", hosts=("shop.example",)))

    assert anyhow.get("/healthz", headers={"host": "any.example"}).status_code == 200
    assert named.get("/healthz", headers={"host": "any.example"}).status_code == 421


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.example", False)],
)  # fmt: skip
def test_loopback_is_told_from_other_addresses(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_requests_are_logged_by_templates_and_hashes_where_that_is_wanted(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tfrec")
    client = ask(HttpConfig(log_requests=True))

    client.get("/v1/users/user-4711")
    client.post(HOME, json={"user": "user-4711"})
    client.post("/v1/events", json={"events": [{"id": "1", "user": "user-4711"}]})
    client.post(HOME, json={"session": "5e55"})

    lines = [record.message for record in caplog.records if record.name.startswith("tfrec")]
    assert len(lines) == 4
    assert "4711" not in caplog.text
    assert "5e55" not in caplog.text
    assert lines[0].startswith("GET /v1/users/{user} 200 in ")
    names = [line.rpartition(" ")[2] for line in lines]
    assert names[0] == names[1] == names[2] != names[3]


def test_requests_that_went_well_are_not_logged_by_default(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tfrec")

    ask().post(HOME, json={})

    assert [record for record in caplog.records if record.name.startswith("tfrec")] == []


def test_hash_is_the_same_with_the_same_key_only() -> None:
    environment = {"LOG_KEY": "k" * 16}
    one, same = (LogNames.of("LOG_KEY", environment) for _ in range(2))

    assert one.name("7") == same.name("7") != one.name("8")
    assert one.name("7") != LogNames.of(None, {}).name("7")
    assert LogNames.of(None, {}).name("7") != LogNames.of(None, {}).name("7")


@pytest.mark.parametrize("environment", [{}, {"LOG_KEY": "short"}])
def test_key_of_the_logs_that_is_too_short_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"log_key_env: 'LOG_KEY': holds \d bytes"):
        LogNames.of("LOG_KEY", environment)


def test_ids_are_taken_out_of_a_text_where_they_stand_as_words() -> None:
    names = LogNames(b"k" * 16)

    text = names.scrub("user '7', item 77, 7-b", ["7", "", "7-b"])

    assert text == f"user '{names.name('7')}', item 77, {names.name('7-b')}"
