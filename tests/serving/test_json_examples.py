import json

import pytest

from tfrec.serving.json_examples import read_examples
from tfrec.serving.json_parse import parse_document
from tfrec.serving.status import ServingError


def read(body: str):
    return read_examples(parse_document(body.encode()))


def feature(text: str):
    (example,) = read(f'{{"examples": [{{"f": {text}}}]}}').example_list.examples
    return example.features.feature["f"]


def refusal(body: str) -> str:
    with pytest.raises(ServingError) as caught:
        read(body)
    assert caught.value.code == "INVALID_ARGUMENT"
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("7", [7]),
        ("[1, -2]", [1, -2]),
        ("[true, 3, false]", [1, 3, 0]),
        (str(2**63 - 1), [2**63 - 1]),
        (str(-(2**63)), [-(2**63)]),
    ],
)
def test_whole_numbers_and_booleans_are_int64(text, values):
    assert list(feature(text).int64_list.value) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("2.0", [2.0]),
        ("[0.5, 1e300, -Infinity]", [0.5, float("inf"), float("-inf")]),
        (str(2**64), [2.0**64]),
    ],
)
def test_decimal_numbers_are_float(text, values):
    assert list(feature(text).float_list.value) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('"é"', ["é".encode()]),
        ('["a", {"b64": "/w"}]', [b"a", b"\xff"]),
        ('{"b64": ""}', [b""]),
    ],
)
def test_strings_and_base64_are_bytes(text, values):
    assert list(feature(text).bytes_list.value) == values


def test_empty_list_is_a_feature_of_no_kind():
    assert feature("[]").WhichOneof("kind") is None


def test_examples_keep_their_order_and_their_features():
    examples = read('{"examples": [{"a": 1, "b": "u"}, {}, {"a": 2}]}').example_list.examples

    assert [sorted(example.features.feature) for example in examples] == [["a", "b"], [], ["a"]]


@pytest.mark.parametrize("context", ['{"c": 1}', "{}"])
def test_context_stands_beside_the_examples(context):
    given = read(f'{{"context": {context}, "examples": [{{"a": 1}}]}}')

    assert given.WhichOneof("kind") == "example_list_with_context"
    assert sorted(given.example_list_with_context.context.features.feature) == sorted(
        json.loads(context)
    )
    assert len(given.example_list_with_context.examples) == 1


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "JSON Value: {} When method is classify, key 'examples' is expected and was not"),
        ('{"examples": {}}', "Expecting 'examples' value to be an list/array"),
        ('{"examples": []}', "'examples' value is an empty array"),
        ('{"examples": [1]}', "Example must be JSON object but got JSON Number"),
        (
            '{"context": [], "examples": [{}]}',
            "Example must be JSON object but got JSON Array",
        ),
    ],
)
def test_body_without_examples_is_refused(body, message):
    assert message in refusal(body)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("null", "Feature: f has element with unexpected JSON type: Null"),
        ("[[1]]", "Feature: f has element with unexpected JSON type: Array"),
        ('[{"a": 1}]', "Feature: f has element with unexpected JSON type: Object"),
        ("[1, 2.0]", "Unexpected element type in feature: f expecting type: int64"),
        ("[1.5, true]", "Unexpected element type in feature: f expecting type: float"),
        ('["a", 1]', "Unexpected element type in feature: f expecting type: bytes"),
        ("[1, 2.0, null]", "Unexpected element type in feature: f expecting type: int64"),
        (str(2**63), "Feature: f has uint64 element. Only int64 is supported."),
        ('{"b64": "?"}', "Unable to base64 decode"),
        ("9" * 400, "JSON Parse error: Number too big to be stored in double."),
    ],
)
def test_wrong_feature_is_refused(text, message):
    assert refusal(f'{{"examples": [{{"f": {text}}}]}}') == message


def test_context_is_read_first():
    assert "Feature: c has element" in refusal('{"context": {"c": null}}')
