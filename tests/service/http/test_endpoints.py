"""What each address takes and answers."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from asking import Asking

from tfrec.errors import UserError
from tfrec.service.api import RecommendationRequest
from tfrec.service.event_log import LogError
from tfrec.service.feature_store import StoreError
from tfrec.service.gateway import UnknownItemError
from tfrec.service.http.config import HttpConfig, Limits

Ask = Callable[..., Asking]
JSON = {"content-type": "application/json"}
HOME = "/v1/recommendations"


def fault(response: Any) -> tuple[int, str, str | None]:
    error = response.json()["error"]
    assert error["message"]
    return response.status_code, error["code"], error.get("field")


def test_slate_comes_with_its_id_and_the_times_of_its_steps(ask: Ask, gateway: Any) -> None:
    answer = ask().post(HOME, json={"user": "7", "k": 3, "context": {"hour": 8, "tags": ["a"]}})

    assert answer.status_code == 200
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == "r1"
    assert answer.headers["server-timing"] == "gather;dur=0.25, rank-200-;dur=1.50"
    assert answer.json()["items"][0] | {"id": "tea", "score": None} == answer.json()["items"][0]
    expected = RecommendationRequest(user="7", k=3, context={"hour": 8.0, "tags": ("a",)})
    assert gateway.asked == [expected]


def test_slate_of_before_says_so_in_the_place_of_its_times(ask: Ask) -> None:
    assert ask().post(HOME, json={"k": 7}).headers["server-timing"] == "cache"


def test_guide_answers_with_a_sentence_and_a_slate(ask: Ask) -> None:
    answer = ask().post("/v1/guide", json={"message": "tea"})

    assert answer.status_code == 200
    assert answer.json()["sentence"] == "Tea."
    assert answer.headers["x-request-id"] == "r2"


def test_each_event_has_a_verdict(ask: Ask, gateway: Any) -> None:
    rows = [{"id": "1", "type": "click"}, 3]

    answer = ask().post("/v1/events", json={"events": rows})

    assert answer.status_code == 200
    assert answer.json()["verdicts"] == [
        {"id": "1", "status": "accepted", "reason": None},
        {"id": None, "status": "rejected", "reason": "not an object"},
    ]
    assert gateway.asked == [rows]


def test_shopper_is_told_with_history_counts_and_arms(ask: Ask) -> None:
    assert ask().get("/v1/users/user%2F1").json() == {
        "user": "user/1", "features": {"recent": ["tea"]}, "hidden": [], "counts": {"click": 1},
        "last": 1000, "arms": {"shelf": "new"},
    }  # fmt: skip


@pytest.mark.parametrize("user", ["a/b", "a\nb", "a\n", "b c", "\u00fc", "a?b", "%2F"])
def test_every_id_can_be_erased(ask: Ask, gateway: Any, user: str) -> None:
    assert ask().delete(f"/v1/users/{quote(user, safe='')}").status_code == 200
    assert gateway.asked == [user]


def test_shopper_of_whom_nothing_is_known_is_not_found(ask: Ask) -> None:
    assert fault(ask().get("/v1/users/stranger")) == (404, "unknown_user", "user")


def test_shopper_who_did_nothing_but_hide_an_item_is_found(ask: Ask) -> None:
    assert ask().get("/v1/users/hider").json()["hidden"] == ["wine"]


@pytest.mark.parametrize(("user", "known"), [("user-1", True), ("stranger", False)])
def test_erasure_says_whether_anything_was_known(ask: Ask, user: str, known: bool) -> None:
    answer = ask().delete(f"/v1/users/{user}")

    assert (answer.status_code, answer.json()) == (200, {"user": user, "was_known": known})


def test_item_is_told_with_what_is_not_known_as_null(ask: Ask) -> None:
    answer = ask().get("/v1/items/tea%2Fgreen")

    features = {"price": None, "aisle": "drinks"}
    assert answer.json() == {"id": "tea/green", "name": "Green tea", "features": features}


def test_item_that_is_not_there_is_named(ask: Ask) -> None:
    answer = ask().get("/v1/items/coffee")

    assert fault(answer)[:2] == (404, "unknown_item")
    assert "coffee" in answer.json()["error"]["message"]


@pytest.mark.parametrize("ready", [True, False])
def test_readiness_is_a_status_too(ask: Ask, gateway: Any, ready: bool) -> None:
    gateway.ready = ready

    answer = ask().get("/readyz")

    assert answer.status_code == (200 if ready else 503)
    assert answer.json()["ready"] is ready
    assert ask().get("/healthz").json() == {"status": "ok"}


def test_metrics_name_the_template_of_a_path_and_no_shopper(ask: Ask) -> None:
    client = ask()
    client.get("/v1/users/user-4711")

    answer = client.get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert 'route="/v1/users/{user}",status="200"' in answer.text
    assert "4711" not in answer.text


def test_head_is_answered_as_get(ask: Ask) -> None:
    assert ask().ask("HEAD", "/healthz").status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"k": 0}, "k"),
        ({"k": "5"}, "k"),
        ({"k": True}, "k"),
        ({"user": 7}, "user"),
        ({"scenario": "away"}, "scenario"),
        ({"scenario": "similar"}, "items"),
        ({"scenario": "search"}, "query"),
        ({"shopper": "7"}, "shopper"),
        ({"items": ["a", ""]}, "items.1"),
        ({"filters": {"least": {"price": "dear"}}}, "filters.least.price"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"context": {"hour": {"is": 8}}}, "context.hour"),
        ({"exclude": ["x"] * 1001}, "exclude"),
    ],
)
def test_wrong_field_is_named_with_the_remedy(
    ask: Ask, gateway: Any, body: dict[str, Any], field: str
) -> None:
    answer = ask().post(HOME, json=body)

    assert fault(answer) == (422, "wrong_field", field)
    assert len(answer.text) < 500
    assert gateway.asked == []


def test_unknown_field_is_told_which_there_are(ask: Ask) -> None:
    message = ask().post(HOME, json={"shopper": "7"}).json()["error"]["message"]

    assert message.startswith("shopper: unknown field; known: scenario, user, session")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"k": }', "character 6 (line 1, column 7)"),
        (b"", "character 0"),
        (b'{"k": NaN}', "character 6"),
        (b'{"user": "\xff"}', "not JSON"),
        (b"[" * 2000, "not JSON"),
    ],
)
def test_malformed_json_is_told_with_its_place(ask: Ask, body: bytes, place: str) -> None:
    answer = ask().post(HOME, content=body, headers=JSON)

    assert fault(answer)[:2] == (400, "malformed_json")
    assert place in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"home"', b"3"])
def test_body_that_is_no_object_is_refused(ask: Ask, body: bytes) -> None:
    assert fault(ask().post(HOME, content=body, headers=JSON))[0] == 422


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "text/plain"}, {**JSON, "content-encoding": "gzip"}],
)
def test_body_that_is_not_sent_as_json_is_refused(ask: Ask, headers: dict[str, str]) -> None:
    answer = ask().post(HOME, content=b"{}", headers=headers)

    assert fault(answer)[:2] == (415, "wrong_content_type")


def test_content_type_may_name_its_encoding(ask: Ask) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}

    assert ask().post(HOME, content=b"{}", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "events"),
        ({"events": []}, "events"),
        ({"events": {"id": "1"}}, "events"),
        ({"events": [{}] * 4}, "events"),
        ({"events": [{}], "more": 1}, "more"),
    ],
)
def test_batch_of_events_has_a_form_and_a_limit(ask: Ask, body: dict[str, Any], field: str) -> None:
    client = ask(HttpConfig(limits=Limits(events=3)))

    assert fault(client.post("/v1/events", json=body)) == (422, "wrong_field", field)


@pytest.mark.parametrize("path", ["/v1/users/user-1?full=1", "/v1/items/tea?x"])
def test_question_that_nothing_would_read_is_refused(ask: Ask, path: str) -> None:
    assert fault(ask().get(path)) == (422, "wrong_field", "query string")


@pytest.mark.parametrize("path", ["/v1/users/", "/v1/items/", f"/v1/users/{'x' * 513}"])
def test_id_without_letters_or_with_too_many_is_refused(ask: Ask, path: str) -> None:
    assert fault(ask().get(path))[0] == 422


def test_address_that_is_not_there(ask: Ask) -> None:
    assert fault(ask().get("/v2/users")) == (404, "unknown_address", None)
    assert fault(ask().get("/v1/users")) == (404, "unknown_address", None)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", HOME, {"POST"}), ("PUT", "/v1/users/7", {"GET", "HEAD", "DELETE"})],
)
def test_method_that_is_not_taken(ask: Ask, method: str, path: str, allowed: set[str]) -> None:
    answer = ask().ask(method, path)

    assert fault(answer)[:2] == (405, "wrong_method")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    ("error", "status", "code", "field"),
    [
        (UnknownItemError(["x1", "x2"]), 404, "unknown_item", "items"),
        (UserError("filters.only.colour: unknown; known: aisle"), 422, "wrong_field",
         "filters.only.colour"),
        (UserError("something else"), 422, "wrong_field", None),
        (LogError("disk full: /srv"), 503, "log_unavailable", None),
        (StoreError("redis://10.0.0.1 is away"), 503, "store_unavailable", None),
    ],
)  # fmt: skip
def test_fault_of_the_gateway_has_its_status(
    ask: Ask, gateway: Any, error: Exception, status: int, code: str, field: str | None
) -> None:
    gateway.fault = error

    answer = ask().post(HOME, json={})

    assert fault(answer) == (status, code, field)
    if status == 503:
        assert answer.headers["retry-after"] == "1"
        assert "/srv" not in answer.text
        assert "10.0.0.1" not in answer.text


def test_erasure_that_cannot_be_noted_is_no_fault_of_the_caller(
    ask: Ask, gateway: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.fault = UserError("/srv/erased: no key")

    answer = ask().delete("/v1/users/user-1")

    assert fault(answer) == (503, "erasure_unavailable", None)
    assert "/srv" not in answer.text
    assert "/srv/erased: no key" in caplog.text


def test_fault_of_ours_is_told_by_the_id_under_which_the_log_has_it(
    ask: Ask, gateway: Any, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.fault = KeyError("4711")

    answer = ask().post(HOME, json={"user": "4711"})

    assert fault(answer)[:2] == (500, "internal")
    assert "Traceback" not in answer.text
    assert "KeyError" not in answer.text
    request_id = answer.headers["x-request-id"]
    assert request_id in answer.json()["error"]["message"]
    assert request_id in caplog.text
    assert "KeyError: 'shopper-" in caplog.text
    assert "4711" not in caplog.text


def test_every_answer_is_json_of_the_same_shape_and_has_the_headers_of_safety(ask: Ask) -> None:
    client = ask()
    for answer in (
        client.post(HOME, json={}), client.get("/nowhere"), client.get(HOME),
        client.post(HOME, content=b"{", headers=JSON), client.get("/docs"),
    ):  # fmt: skip
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert len(answer.headers["x-request-id"]) > 1
        if answer.headers["content-type"] == "application/json":
            assert isinstance(json.loads(answer.text), dict)
