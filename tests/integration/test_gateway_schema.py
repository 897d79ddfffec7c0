"""Whatever is sent, each answer is one that the description tells of, and none a fault of ours.

Bodies are made of the description: right ones, and ones that have something else somewhere.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from asking import Asking
from gateway_shop import IDS, make_gateway
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tfrec.service.gateway import Gateway
from tfrec.service.http.app import make_app
from tfrec.service.http.config import HttpConfig, Limits
from tfrec.service.http.openapi import describe
from tfrec.service.http.operations import OPERATIONS, Operation

LIMITS = Limits(body_bytes=50_000, events=20)
DESCRIPTION = describe(OPERATIONS, LIMITS, needs_keys=False)
SCHEMAS = DESCRIPTION["components"]["schemas"]
SENT = [operation for operation in OPERATIONS if operation.takes]
NAMED = [operation for operation in OPERATIONS if "{" in operation.path]

LETTERS = st.characters(exclude_categories=["Cs"])
TEXT = st.text(LETTERS, min_size=1, max_size=8) | st.sampled_from(
    [*IDS[:3], "aisle", "price", "aisle-1", "user-1", "\0", "\u202e", "' OR 1=1 --", "<script>"]
)
NUMBERS = st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PATIENT = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    opened: list[Gateway] = []

    async def make() -> Gateway:
        opened.append(make_gateway(tmp_path_factory.mktemp("gateway")))
        return opened[0]

    one = Asking(None)
    one.serve(make_app(one.run(make()), HttpConfig(limits=LIMITS)))
    yield one
    one.close(opened[0].close)


def right(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema allows, or almost: what depends on other fields is left to chance."""
    return _of(schema, wrong=False)


def wrong(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """The same, with anything in some places."""
    return _of(schema, wrong=True)


def _of(schema: dict[str, Any], wrong: bool) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        schema = SCHEMAS[schema["$ref"].rpartition("/")[2]]
    found = _right(schema, wrong)
    if not wrong:
        return found
    return st.integers(0, 9).flatmap(lambda chance: found if chance else ANYTHING)


def _right(schema: dict[str, Any], wrong: bool) -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of([_of(choice, wrong) for choice in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "object" and "properties" in schema:
        return _objects(schema, wrong)
    if kind == "object":
        return st.dictionaries(TEXT, _of(schema["additionalProperties"], wrong), max_size=2)
    if kind == "array":
        least = schema.get("minItems", 0)
        return st.lists(_of(schema["items"], wrong), min_size=least, max_size=least + 2)
    plain: dict[str | None, st.SearchStrategy[Any]] = {
        "string": TEXT,
        "boolean": st.booleans(),
        "integer": st.integers(schema.get("minimum", -5), min(schema.get("maximum", 100), 100)),
        "number": st.floats(schema.get("minimum", -10), schema.get("maximum", 1e6)),
        "null": st.none(),
    }
    return plain[kind]


def _objects(schema: dict[str, Any], wrong: bool) -> st.SearchStrategy[Any]:
    needed = {*schema.get("required", ())}
    fields = {name: _of(one, wrong) for name, one in schema["properties"].items()}
    always = {name: one for name, one in fields.items() if name in needed}
    maybe = {name: one for name, one in fields.items() if name not in needed}
    return st.fixed_dictionaries(always, optional=maybe)


def check(operation: Operation, answer: Any) -> None:
    """Fails if the description tells nothing of an answer, or it is a fault of ours."""
    described = DESCRIPTION["paths"][operation.path][operation.method.lower()]["responses"]
    status = str(answer.status_code)
    assert answer.status_code < 500, answer.text
    assert status in described, answer.text
    schema = described[status]["content"]["application/json"]["schema"]
    components = DESCRIPTION["components"]
    jsonschema.Draft202012Validator({**schema, "components": components}).validate(answer.json())
    for name in described[status]["headers"]:
        assert name in answer.headers


@pytest.mark.parametrize("operation", SENT, ids=lambda operation: operation.name)
def test_body_that_the_description_allows_is_answered(client: Asking, operation: Operation) -> None:
    schema = {"$ref": f"#/components/schemas/{operation.takes.__name__}"}  # type: ignore[union-attr]
    statuses: list[int] = []

    @PATIENT
    @given(right(schema))
    def ask(body: Any) -> None:
        answer = client.ask(operation.method, operation.path, json=body)
        statuses.append(answer.status_code)
        check(operation, answer)
        assert answer.status_code in (200, 404, 422)

    ask()
    assert 200 in statuses


@pytest.mark.parametrize("operation", SENT, ids=lambda operation: operation.name)
def test_body_with_anything_anywhere_is_answered(client: Asking, operation: Operation) -> None:
    schema = {"$ref": f"#/components/schemas/{operation.takes.__name__}"}  # type: ignore[union-attr]
    statuses: list[int] = []

    @PATIENT
    @given(wrong(schema))
    def ask(body: Any) -> None:
        answer = client.ask(operation.method, operation.path, json=body)
        statuses.append(answer.status_code)
        check(operation, answer)

    ask()
    assert {200, 422} <= {*statuses}


@pytest.mark.parametrize("operation", SENT, ids=lambda operation: operation.name)
def test_body_of_any_bytes_is_answered(client: Asking, operation: Operation) -> None:
    kinds = st.sampled_from(["application/json", "text/plain", "", "application/json; charset=x"])

    @PATIENT
    @given(st.binary(max_size=50) | ANYTHING.map(lambda one: json.dumps(one).encode()), kinds)
    def ask(body: bytes, kind: str) -> None:
        headers = {"content-type": kind}
        answer = client.ask(operation.method, operation.path, content=body, headers=headers)
        check(operation, answer)
        assert answer.status_code >= 400 or isinstance(json.loads(body), dict)

    ask()


@pytest.mark.parametrize("operation", NAMED, ids=lambda operation: operation.name)
def test_id_of_any_letters_is_answered(client: Asking, operation: Operation) -> None:
    before = operation.path.partition("{")[0]

    @PATIENT
    @given(TEXT | st.text(LETTERS, min_size=1, max_size=600))
    def ask(name: str) -> None:
        check(operation, client.ask(operation.method, before + quote(name, safe="")))

    ask()


@pytest.mark.parametrize("user", ["new\nline", "a/b", "a\0b", "\u00fc\U0001f600", "anonymous"])
def test_shopper_of_any_name_is_known_by_events_and_forgotten(client: Asking, user: str) -> None:
    row = {"id": f"of {user}", "type": "click", "user": user, "item": IDS[0]}
    path = f"/v1/users/{quote(user, safe='')}"

    sent = client.post("/v1/events", json={"events": [row]})

    assert sent.json()["verdicts"][0]["status"] == "accepted"
    assert client.get(path).json()["user"] == user
    assert client.delete(path).json() == {"user": user, "was_known": True}
    assert client.get(path).status_code == 404
