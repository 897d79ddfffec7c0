"""A small server of the calls to Kubeflow Pipelines' API that submitting makes."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

PREFIX = "/apis/v2beta1/"


@dataclass
class KubeflowApi:
    """What the server holds, as the API returns it."""

    url: str = ""
    multi_user: bool = False
    refuse: tuple[int, str] | None = None
    pipelines: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    experiments: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    recurring_runs: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        """The answer to a call, as JSON; raises LookupError for one that it does not know."""
        wanted = self._wanted(query)
        if (method, path) == ("GET", "healthz"):
            return {"multi_user": self.multi_user}
        if self.refuse:
            return None
        if (method, path) == ("GET", "pipelines"):
            return {"pipelines": wanted(self.pipelines)}
        if (method, path) == ("POST", "pipelines/upload"):
            return self._add(self.pipelines, "pipeline_id", query, spec=body)
        if (method, path) == ("POST", "pipelines/upload_version"):
            of = {"pipeline_id": query["pipelineid"]}
            return self._add(self.versions, "pipeline_version_id", query, **of, spec=body)
        if method == "GET" and re.fullmatch("pipelines/[^/]+/versions", path):
            mine = [v for v in self.versions if v["pipeline_id"] == path.split("/")[1]]
            return {"pipeline_versions": wanted(mine)}
        if path in ("experiments", "runs", "recurringruns"):
            kept = {"recurringruns": "recurring_runs"}.get(path, path)
            held = getattr(self, kept)
            if method == "GET":
                return {kept.replace("_r", "R"): wanted(held)}
            return self._add(held, f"{kept[:-1]}_id", {"name": body["display_name"]}, **body)
        if method == "DELETE" and path.startswith("recurringruns/"):
            gone = path.split("/")[1]
            self.recurring_runs = [
                run for run in self.recurring_runs if run["recurring_run_id"] != gone
            ]
            return {}
        raise LookupError(f"{method} {path}")

    def _wanted(self, query: dict[str, str]):
        name = None
        if "filter" in query:
            (same,) = json.loads(query["filter"])["predicates"]
            assert same["operation"] in ("EQUALS", 1)  # the enum's name or its number
            assert same["key"] == "display_name"
            name = same["stringValue"]
        return lambda held: [each for each in held if name in (None, each["display_name"])]

    def _add(self, held: list, key: str, query: dict[str, str], **content: Any) -> dict[str, Any]:
        made = {**content, key: f"{key[:-3]}-{len(held) + 1}", "display_name": query["name"]}
        made |= {name: query[name] for name in ("namespace",) if name in query}
        held.append(made)
        return {name: value for name, value in made.items() if name != "spec"}


@contextmanager
def serve_kubeflow_api() -> Iterator[KubeflowApi]:
    """Serves on a free port of this machine."""
    api = KubeflowApi()

    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            length = int(self.headers.get("content-length", 0))
            body = _read(self.headers["content-type"], self.rfile.read(length))
            api.tokens.add(self.headers["authorization"])
            answer, status = None, 200
            try:
                answer = api.answer(self.command, url.path.removeprefix(PREFIX), query, body)
            except LookupError as error:
                answer, status = {"error": f"no such call: {error}"}, 404
            if answer is None:
                status, message = api.refuse
                answer = {"error": message, "code": 7}
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _handle  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield api
        server.shutdown()


def _read(content_type: str | None, body: bytes) -> Any:
    """A body of JSON, or the YAML documents of an uploaded file."""
    if not body:
        return None
    header = Message()
    header["content-type"] = content_type or ""
    if header.get_content_maintype() != "multipart":
        return json.loads(body)
    edge = b"--" + header.get_param("boundary").encode()
    _, _, content = body.split(edge)[1].partition(b"\r\n\r\n")
    return list(yaml.safe_load_all(content))
