"""The description, and the page that is made of it."""

import copy
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import jsonschema
import pytest
from asking import Asking

from tfrec.service.http.config import HttpConfig, Limits
from tfrec.service.http.description_page import render_page
from tfrec.service.http.openapi import describe
from tfrec.service.http.operations import OPERATIONS

Ask = Callable[..., Asking]
ADDRESSES = {
    ("post", "/v1/recommendations"), ("post", "/v1/guide"), ("post", "/v1/events"),
    ("get", "/v1/users/{user}"), ("delete", "/v1/users/{user}"), ("get", "/v1/items/{item}"),
    ("get", "/healthz"), ("get", "/readyz"), ("get", "/metrics"),
}  # fmt: skip


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    return describe(OPERATIONS, Limits(events=7), needs_keys=True)


def operations(description: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    paths = description["paths"].items()
    return {(method, path): one for path, methods in paths for method, one in methods.items()}


def test_every_address_is_described_with_its_body_and_its_statuses(
    description: dict[str, Any],
) -> None:
    found = operations(description)

    assert found.keys() == ADDRESSES
    assert description["openapi"].startswith("3.1")
    for (method, path), operation in found.items():
        assert ("requestBody" in operation) is (method == "post")
        assert {"200", "401", "403", "405", "431", "500"} <= operation["responses"].keys()
        assert [one["name"] for one in operation.get("parameters", [])] == re.findall(
            r"{(\w+)}", path
        )
        assert operation["summary"]


def test_all_that_is_referred_to_is_there(description: dict[str, Any]) -> None:
    schemas = description["components"]["schemas"]

    references = set(re.findall(r"#/components/schemas/([\w-]+)", str(description)))

    assert references <= schemas.keys()
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_field_has_a_meaning(description: dict[str, Any]) -> None:
    for name, schema in description["components"]["schemas"].items():
        assert schema["description"]
        assert "Attributes" not in schema["description"]
        for field, value in schema["properties"].items():
            assert value["description"], f"{name}.{field}"


def validator(description: dict[str, Any], name: str) -> jsonschema.Draft202012Validator:
    reference = {"$ref": f"#/components/schemas/{name}"}
    return jsonschema.Draft202012Validator({**reference, "components": description["components"]})


def test_examples_are_what_they_are_examples_of(description: dict[str, Any]) -> None:
    for operation in operations(description).values():
        if "requestBody" in operation:
            body = operation["requestBody"]["content"]["application/json"]
            name = body["schema"]["$ref"].rpartition("/")[2]
            validator(description, name).validate(body["example"])


@pytest.mark.parametrize(
    ("name", "body", "right"),
    [
        ("RecommendationRequest", {}, True),
        ("RecommendationRequest", {"scenario": "similar", "items": ["a"]}, True),
        ("RecommendationRequest", {"scenario": "similar"}, False),
        ("RecommendationRequest", {"scenario": "search", "query": None}, False),
        ("RecommendationRequest", {"k": 0}, False),
        ("EventBatch", {"events": [{"id": "1", "type": "view", "item": "a"}] * 7}, True),
        ("EventBatch", {"events": [{"id": "1", "type": "view", "item": "a"}] * 8}, False),
        ("Event", {"id": "1", "type": "view", "item": "a", "time": "2030-01-01"}, True),
        ("Event", {"id": "1", "type": "stare", "item": "a"}, False),
    ],
)
def test_description_tells_right_bodies_from_wrong_ones(
    description: dict[str, Any], name: str, body: dict[str, Any], right: bool
) -> None:
    assert validator(description, name).is_valid(body) is right


def test_keys_are_described_where_they_are_needed(description: dict[str, Any]) -> None:
    opened = describe(OPERATIONS, Limits(), needs_keys=False)

    assert description["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    secured = {address for address, one in operations(description).items() if "security" in one}
    assert secured == ADDRESSES - {("get", "/healthz"), ("get", "/readyz")}
    assert "securitySchemes" not in opened["components"]
    assert not any("security" in one for one in operations(opened).values())


class Page(HTMLParser):
    """The parts of a page that the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.add(tag)
        self.ids += filter(None, [given.get("id")])
        self.links += filter(None, [given.get("href"), given.get("src")])
        assert "style" not in given
        assert not any(name.startswith("on") for name in given)


def test_page_needs_nothing_from_elsewhere_and_no_script(ask: Ask) -> None:
    client = ask()

    answer = client.get("/docs")

    page = Page(answer.text)
    assert answer.headers["content-type"].startswith("text/html")
    assert page.tags.isdisjoint({"script", "style", "iframe", "img"})
    elsewhere = {link for link in page.links if not link.startswith("#")}
    assert elsewhere == {"/docs/style.css", "/openapi.json"}
    for link in elsewhere:
        assert client.get(link).status_code == 200


def test_page_has_each_address_and_each_body_and_its_links_lead_somewhere(
    description: dict[str, Any],
) -> None:
    page = Page(render_page(description))

    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= {*page.ids}
    assert {operation.name for operation in OPERATIONS} <= {*page.ids}
    assert description["components"]["schemas"].keys() <= {*page.ids}


def test_page_escapes_what_it_shows(description: dict[str, Any]) -> None:
    evil = copy.deepcopy(description)
    evil["info"]["title"] = "<script>x</script>"
    evil["components"]["schemas"]["Slate"]["description"] = "`<script>` & <b>"

    page = render_page(evil)

    assert "<script" not in page
    assert "<code>&lt;script&gt;</code> &amp; &lt;b&gt;" in page


def test_description_is_the_one_of_the_running_limits(ask: Ask) -> None:
    document = ask(HttpConfig(limits=Limits(events=5))).get("/openapi.json").json()

    batch = document["components"]["schemas"]["EventBatch"]
    assert batch["properties"]["events"]["maxItems"] == 5
