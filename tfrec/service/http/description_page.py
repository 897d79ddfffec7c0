"""The description as JSON, and as a page for people that needs no script."""

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import orjson
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PAGES = Path(__file__).parent / "pages"
_CODE = re.compile(r"`([^`]+)`")
_SHORT = {"integer": "whole number", "null": "null", "object": "object", "string": "text"}


def description_routes(describe: Callable[[], dict[str, Any]]) -> list[Route]:
    """`/openapi.json`, and `/docs` with its style.

    Args:
      describe: makes OpenAPI's document, when it is first asked for.
    """
    description = functools.cache(describe)
    document = functools.cache(lambda: orjson.dumps(description()))
    page = functools.cache(lambda: render_page(description()).encode())
    style = (_PAGES / "style.css").read_bytes()

    async def show_document(_: Request) -> Response:
        return Response(document(), media_type="application/json")

    async def show_page(_: Request) -> Response:
        return Response(page(), media_type="text/html")

    async def show_style(_: Request) -> Response:
        return Response(style, media_type="text/css")

    return [
        Route("/openapi.json", show_document),
        Route("/docs", show_page),
        Route("/docs/style.css", show_style),
    ]


def render_page(description: dict[str, Any]) -> str:
    """Makes the page.

    Args:
      description: OpenAPI's document.

    Returns:
      HTML, whose style is at `/docs/style.css`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        kind=_kind, limits=_limits, body=_body, pretty=_pretty, marked=_marked
    )
    return environment.get_template("description.html").render(description=description)


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(choice) for choice in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"name -> {_kind(schema['additionalProperties'])}"
    kind = schema.get("type", "anything")
    return _SHORT.get(kind, kind)


def _limits(schema: dict[str, Any]) -> str:
    """The limits of a value, in few words."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:
        schema = {**schema, **choices[0]}
    told = []
    for name, words in (
        ("minimum", "from {:,}"), ("exclusiveMinimum", "above {:,}"), ("maximum", "to {:,}"),
        ("maxLength", "{:,} letters at most"), ("maxItems", "{:,} at most"),
        ("maxProperties", "{:,} at most"),
    ):  # fmt: skip
        if name in schema:
            told.append(words.format(schema[name]))
    default = schema.get("default")
    if default not in (None, [], {}):
        told.append(f"by default {default if isinstance(default, str) else _compact(default)}")
    return ", ".join(told)


def _body(described: dict[str, Any]) -> dict[str, Any] | None:
    """A request's or an answer's body, where it is JSON."""
    found: dict[str, Any] | None = described.get("content", {}).get("application/json")
    return found


def _marked(text: str) -> Markup:
    """A text in which what stands between backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _compact(value: Any) -> str:
    return orjson.dumps(value).decode()
