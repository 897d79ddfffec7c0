import gzip
import json
from collections.abc import Iterator

import httpx
import pytest

from tfrec.serving import ModelServer


@pytest.fixture(scope="module")
def http(server: ModelServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{server.rest_api_port}") as client:
        yield client


def post(http: httpx.Client, path: str, body) -> httpx.Response:
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    return http.post(path, content=content)


def error_of(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json"
    return response.json()["error"]


PREDICT = "/v1/models/tiny:predict"


def test_row_request_gets_predictions(http):
    response = post(http, PREDICT, {"instances": [1.0, 2.0, 5.0]})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.text == '{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'


def test_column_request_gets_outputs(http):
    response = post(http, PREDICT, {"inputs": {"x": [1.0, 2.0]}})

    assert response.json() == {"outputs": [2.5, 3.0]}


def test_empty_batch_is_answered_in_column_form(http):
    assert post(http, PREDICT, {"inputs": []}).json() == {"outputs": []}


def test_large_request_is_read_whole(http):
    response = post(http, PREDICT, {"instances": [1.0] * 200_000})

    assert len(response.json()["predictions"]) == 200_000


def test_every_type_comes_and_goes(http):
    rows = [
        {"name": "é", "count": 1, "weights": [1, 2]},
        {"name": {"b64": "/w=="}, "count": 2, "weights": [3.5, -1]},
    ]

    response = post(http, PREDICT, {"signature_name": "mixed", "instances": rows})

    assert response.status_code == 200
    text = response.content.decode("utf-8", "surrogateescape")
    first, second = json.loads(text)["predictions"]
    assert first == {
        "greeting": "hello é",
        "name_bytes": [{"b64": "w6k="}],
        "doubled": 2,
        "total": 3.0,
        "many": False,
        "weights": [1.0, 2.0],
    }
    assert second["greeting"] == "hello \udcff"
    assert second["name_bytes"] == [{"b64": "/w=="}]


@pytest.mark.parametrize(
    ("few", "many"),
    [
        ({"instances": [1.0]}, {"instances": [1] * 1000}),
        (
            {"signature_name": "numbers", "inputs": 3},
            {"signature_name": "numbers", "inputs": 1000},
        ),
    ],
)
def test_only_requests_of_a_size_known_to_be_quick_run_in_the_event_loop(
    http, threads_of_runs, few, many
):
    for request in (few, few, many):
        assert post(http, PREDICT, request).status_code == 200

    assert [name == "rest" for name in threads_of_runs] == [False, True, False]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/tiny/versions/3:predict",
        "/V1/Models/tiny/VERSIONS/3:predict",
        "/v1/models/t%69ny:predict",
    ],
)
def test_model_is_addressed_by_version_in_any_case_and_encoded(http, path):
    assert post(http, path, {"instances": [0]}).json() == {"predictions": [2.0]}


def test_request_that_is_huge_once_decompressed_counts_as_empty(http, monkeypatch):
    monkeypatch.setattr("tfrec.serving.rest._MOST_DECOMPRESSED_BYTES", 1000)
    body = gzip.compress(b'{"instances": [1.0]}' + b" " * 1000)

    response = http.post(
        "/v1/models/tiny:predict", content=body, headers={"content-encoding": "gzip"}
    )

    assert response.status_code == 400
    assert response.json() == {"error": "JSON Parse error: The document is empty"}


def test_compressed_request_is_read(http):
    body = gzip.compress(b'{"instances": [0]}')
    response = http.post(PREDICT, content=body, headers={"content-encoding": "gzip"})
    broken = http.post(PREDICT, content=b"no gzip", headers={"content-encoding": "gzip"})

    assert response.json() == {"predictions": [2.0]}
    assert error_of(broken) == "JSON Parse error: The document is empty"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        (PREDICT, "", 400, "JSON Parse error: The document is empty"),
        (PREDICT, "{", 400, "JSON Parse error: Missing a name for object member. at offset: 1"),
        (
            "/v1/models/other:predict",
            {"instances": [1]},
            404,
            "Servable not found for request: Latest(other)",
        ),
        (
            "/v1/models/tiny/versions/9:predict",
            {"instances": [1]},
            404,
            "Servable not found for request: Specific(tiny, 9)",
        ),
        (
            "/v1/models/tiny/labels/stable:predict",
            {"instances": [1]},
            400,
            "Unrecognized servable version label: stable",
        ),
        (
            PREDICT,
            {"signature_name": "rank", "instances": [1]},
            400,
            'Serving signature name: "rank" not found in signature def',
        ),
        (PREDICT, {"rows": [1]}, 400, "Missing 'inputs' or 'instances' key"),
        (
            PREDICT,
            {"signature_name": "half_precision", "inputs": [1]},
            501,
            "Conversion of JSON Value: 1 to type: half",
        ),
        (
            PREDICT,
            {"signature_name": "awkward", "instances": [1]},
            400,
            "Tensor name: scalar has no shape information ",
        ),
        (
            "/v1/models/examples:classify",
            {"signature_name": "rank", "examples": [{}]},
            400,
            "No signature was found with the name: rank",
        ),
        (
            "/v1/models/examples/versions/2:regress",
            {"examples": [{}]},
            404,
            "Servable not found for request: Specific(examples, 2)",
        ),
        (
            "/v1/models/other:regress",
            {"examples": [1]},
            400,
            "Example must be JSON object but got JSON Number",
        ),
    ],
)
def test_wrong_request_is_refused(http, path, body, status, message):
    response = post(http, path, body)

    assert response.status_code == status
    assert error_of(response) == message


def test_classify_gives_labels_and_scores(http):
    body = {"signature_name": "classify", "examples": [{"x": 2.0, "name": "é"}, {"x": 4.0}]}

    response = post(http, "/v1/models/examples:classify", body)

    assert response.headers["content-type"] == "application/json"
    assert response.text == (
        '{\n    "results": [[["é", 3.0], ["not é", -3.0]],'
        ' [["nobody", 4.0], ["not nobody", -4.0]]\n    ]\n}'
    )


def test_regress_gives_a_value_an_example(http):
    body = {"context": {"x": 2.0}, "examples": [{}, {"x": 6.5}]}

    response = post(http, "/v1/models/examples/versions/1:regress", body)

    assert response.text == '{\n    "results": [3.0, 5.25]\n}'


def test_ragged_rows_are_refused(http):
    response = post(http, PREDICT, {"instances": [[1, 2], [3]]})

    assert error_of(response) == (
        "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT:"
        " Expecting tensor size: 2 but got: 1"
    )


def test_document_is_checked_before_the_model(http):
    assert "JSON Parse error" in error_of(post(http, "/v1/models/other:predict", "{"))
    assert "'signature_name' key must be" in error_of(
        post(http, "/v1/models/other:predict", {"signature_name": 1})
    )


def test_failure_in_the_graph_is_an_error_body(http):
    row = {"name": "a", "count": 1, "weights": 1.0}

    response = post(http, PREDICT, {"signature_name": "mixed", "instances": [row]})

    assert response.status_code == 400
    assert error_of(response)


def test_path_outside_the_api_is_a_html_404(http):
    response = http.get("/")

    assert response.status_code == 404
    assert response.headers["content-type"] == "text/html"
    assert "<H1>Not Found</H1>" in response.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/models/tiny"),
        ("POST", "/v1/models/tiny:predict?pretty=1"),
        ("POST", "/v1/models/tiny:Predict"),
        ("GET", "/v1/models/tiny:predict"),
        ("GET", "/v1/nothing"),
        ("PUT", "/v1/models/tiny:predict"),
        ("DELETE", "/v1/models/tiny"),
    ],
)
def test_malformed_request_is_named(http, method, path):
    response = http.request(method, path)

    assert response.status_code == 400
    assert response.text == f'{{\n    "error": "Malformed request: {method} {path}"\n}}'


def test_head_is_malformed_too(http):
    assert http.head("/v1/models/tiny").status_code == 400


def test_version_beyond_int64_has_an_empty_answer(http):
    response = http.get(f"/v1/models/tiny/versions/{2**63}")

    assert (response.status_code, response.content) == (400, b"")


@pytest.mark.parametrize(
    ("origin", "status"), [("https://shop.example", 200), ("file://x", 400), (None, 400)]
)
def test_options_asks_for_an_origin(http, origin, status):
    headers = {"origin": origin} if origin else {}
    response = http.options(PREDICT, headers=headers)

    assert (response.status_code, response.content) == (status, b"")


def test_status_lists_the_versions(http):
    expected = (
        '{\n "model_version_status": [\n  {\n   "version": "3",\n   "state": "AVAILABLE",\n'
        '   "status": {\n    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )

    assert http.get("/v1/models/tiny").text == expected
    assert http.get("/v1/models/tiny/versions/3").text == expected
    assert http.get("/v1/models/tiny/labels/any").text == expected


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/other", 404, "Could not find any versions of model other"),
        ("/v1/models/tiny/versions/9", 404, "Could not find version 9 of model tiny"),
        ("/v1/models/other/metadata", 404, "Servable not found for request: Latest(other)"),
    ],
)
def test_status_of_the_unknown_is_refused(http, path, status, message):
    response = http.get(path)

    assert response.status_code == status
    assert error_of(response) == message


def test_metadata_holds_the_signatures(http):
    answer = http.get("/v1/models/tiny/metadata").json()

    assert answer["model_spec"] == {"name": "tiny", "signature_name": "", "version": "3"}
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert signatures["serving_default"]["inputs"]["x"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }
    assert signatures["serving_default"]["defaults"] == {}
    assert "__saved_model_init_op" in signatures
