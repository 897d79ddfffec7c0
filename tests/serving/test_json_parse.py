import json

import numpy as np
import pytest
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from tfrec.serving.json_parse import parse_document, predict_inputs, signature_name
from tfrec.serving.status import ServingError


def infos(**dtypes: int) -> dict[str, meta_graph_pb2.TensorInfo]:
    return {name: meta_graph_pb2.TensorInfo(dtype=dtype) for name, dtype in dtypes.items()}


FLOAT = infos(x=types_pb2.DT_FLOAT)
STRING = infos(x=types_pb2.DT_STRING)
TWO = infos(a=types_pb2.DT_INT32, b=types_pb2.DT_STRING)


def rows(text: str, signature_inputs) -> dict[str, np.ndarray]:
    document = parse_document(b'{"instances": %s}' % text.encode())
    inputs = predict_inputs(document, signature_inputs)
    assert inputs.row_form
    return inputs.arrays


def columns(text: str, signature_inputs) -> dict[str, np.ndarray]:
    document = parse_document(b'{"inputs": %s}' % text.encode())
    inputs = predict_inputs(document, signature_inputs)
    assert not inputs.row_form
    return inputs.arrays


def refusal(body: str, signature_inputs=FLOAT) -> ServingError:
    with pytest.raises(ServingError) as caught:
        predict_inputs(parse_document(body.encode()), signature_inputs)
    return caught.value


def test_rows_of_one_input_are_stacked():
    array = rows("[[1, 2.5], [NaN, -Infinity]]", FLOAT)["x"]

    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, [[1, 2.5], [np.nan, -np.inf]])


def test_rows_of_one_input_may_be_named():
    assert rows('[{"x": 1}, {"x": 2}]', FLOAT)["x"].tolist() == [1.0, 2.0]


def test_rows_of_several_inputs_are_objects():
    arrays = rows('[{"a": [1, 2], "b": "u"}, {"b": {"b64": "dg"}, "a": [3, 4]}]', TWO)

    assert arrays["a"].tolist() == [[1, 2], [3, 4]]
    assert arrays["a"].dtype == np.int32
    assert arrays["b"].tolist() == [b"u", b"v"]


def test_column_of_one_input_may_be_bare():
    assert columns("[[1, 2]]", FLOAT)["x"].shape == (1, 2)
    assert columns("3", FLOAT)["x"].shape == ()
    assert columns("[]", FLOAT)["x"].shape == (0,)
    assert columns('{"b64": "aGk="}', STRING)["x"].tolist() == b"hi"


def test_columns_may_differ_in_size_and_have_extra_names():
    arrays = columns('{"a": [1], "b": ["u", "é"], "c": 0}', TWO)

    assert arrays["a"].tolist() == [1]
    assert arrays["b"].tolist() == [b"u", "é".encode()]


def test_number_above_float_range_becomes_infinity():
    assert columns("[1e39, -1e300]", FLOAT)["x"].tolist() == [np.inf, -np.inf]


def test_number_of_thousands_of_digits_is_refused():
    with pytest.raises(ServingError) as caught:
        parse_document(b'{"a": ' + b"9" * 5000)

    assert caught.value.message == (
        "JSON Parse error: Number too big to be stored in double. at offset: 6"
    )


def test_whole_number_beyond_double_is_refused():
    digits = "9" * 400

    assert refusal(f'{{"inputs": [{digits}]}}').message == (
        "JSON Parse error: Number too big to be stored in double."
    )
    assert "Type: Number is not of" in refusal(f'{{"inputs": [{digits}]}}', STRING).message


def test_narrow_integers_wrap():
    assert columns("[257, -1]", infos(x=types_pb2.DT_UINT8))["x"].tolist() == [1, 255]


def test_large_array_is_read_whole():
    values = np.arange(6000, dtype=np.float32).reshape(10, 20, 30)

    np.testing.assert_array_equal(rows(json.dumps(values.tolist()), FLOAT)["x"], values)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The document is empty"),
        (b" ", "The document is empty. at offset: 1"),
        (b"instances = [1, 2]", "Invalid value. at offset: 0"),
        (b'{"a": }', "Invalid value. at offset: 6"),
        (b'{"a":1} x', "The document root must not be followed by other values. at offset: 8"),
        (b'{"instances": [1,2', "Missing a comma or ']' after an array element. at offset: 18"),
        (b'{"a": 1e400}', "Number too big to be stored in double. at offset: 6"),
        (b'{"a": "\xff"}', "Invalid encoding in string. at offset: 7"),
    ],
)
def test_malformed_json_is_refused_with_its_offset(body, message):
    with pytest.raises(ServingError) as caught:
        parse_document(body)

    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.message == f"JSON Parse error: {message}"


def test_lists_nested_too_deeply_are_refused():
    with pytest.raises(ServingError, match="recursion depth exceeded"):
        parse_document(b"[" * 100_000)
    assert "more than 31 dimensions" in refusal(f'{{"inputs": {"[" * 32}1{"]" * 32}}}').message
    assert rows(f"[{'[' * 31}1{']' * 31}]", FLOAT)["x"].ndim == 32


def test_top_level_must_be_an_object():
    with pytest.raises(ServingError) as caught:
        parse_document(b"[]")

    assert caught.value.message == "JSON Value: [] Is not object"


def test_signature_name_must_be_a_string():
    assert signature_name({}) == ""
    assert signature_name({"signature_name": "rank"}) == "rank"
    with pytest.raises(ServingError) as caught:
        signature_name({"signature_name": 5})

    assert caught.value.message == (
        'JSON Value: {\n    "signature_name": 5\n} not formatted correctly.'
        " 'signature_name' key must be a string value."
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": 1}', "Excepting 'instances' to be an list/array"),
        ('{"instances": []}', "No values in 'instances' array"),
        ('{"instances": [1], "inputs": [1]}', "Not formatted correctly expecting only one of"),
    ],
)
def test_one_of_instances_and_inputs_is_needed(body, message):
    assert message in refusal(body).message


ELEMENT = "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ('[1, "a"]', 'JSON Value: "a" Type: String is not of expected type: float'),
        ("[1, null]", "JSON Value: null Type: Null is not of expected type: float"),
        ("[1, true]", "JSON Value: true Type: True is not of expected type: float"),
        ('[1, {"b64": "AA"}]', "Type: Object is not of expected type: float"),
        ("[[1, 2], [3]]", "Expecting tensor size: 2 but got: 1"),
        ("[[1, 2], [[3], [4]]]", "Expecting shape [2] but got: [2,1]"),
        ("[[[1]], [[3], 4]]", "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ("[[1], [3, [4]]]", "Encountered list at unexpected level: 1 expected < 1"),
        ("[[[1, 2]], [[3, 4], [5]]]", "unexpected size: 1 at level: 1 expected size: 2"),
    ],
)
def test_row_of_wrong_type_or_shape_is_refused_with_its_index(instances, message):
    error = refusal(f'{{"instances": {instances}}}')

    assert error.code == "INVALID_ARGUMENT"
    assert error.message.startswith(ELEMENT)
    assert message in error.message


@pytest.mark.parametrize(
    ("instances", "message"),
    [
        ("[1]", "instances is a plain list, but expecting list of objects as multiple input"),
        ('[{"a": 1, "b": "u"}, 2]', "Expecting object but got list at item 1 of input list"),
        ('[{"a": 1}]', "keys must be equal to: a,b"),
        (
            '[{"a": 1, "b": "u", "c": 0}]',
            "Failed to process element: 0 key: c of 'instances' list. Error: INVALID_ARGUMENT:"
            " JSON object: does not have named input: c",
        ),
        ('[{"a": 1.0, "b": "u"}]', "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ('[{"a": 1, "b": {"b64": "?"}}]', "INVALID_ARGUMENT: Unable to base64 decode"),
        ('[{"a": 1, "b": {"b65": "AA"}}]', "not formatted correctly for base64 data"),
    ],
)
def test_row_with_wrong_names_or_values_is_refused(instances, message):
    assert message in refusal(f'{{"instances": {instances}}}', TWO).message


def test_plain_row_among_named_ones_is_refused():
    error = refusal('{"instances": [1, {"x": 2}]}')

    assert error.message == "Expecting value/list but got object at item 1 of input list"


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("[1]", "inputs is a plain value/list, but expecting an object as multiple input tensors"),
        ('{"b": "u"}', "Missing named input: a in 'inputs' object."),
        ('{"a": 3000000000, "b": "u"}', "JSON Value: 3000000000 Type: Number is not of expected"),
        ('{"a": 1, "b": 2}', "JSON Value: 2 Type: Number is not of expected type: string"),
    ],
)
def test_columns_with_wrong_names_or_values_are_refused(inputs, message):
    assert message in refusal(f'{{"inputs": {inputs}}}', TWO).message


def test_first_mistake_is_the_one_reported():
    error = refusal('{"inputs": [[1, "a"], [2]]}')

    assert error.message == 'JSON Value: "a" Type: String is not of expected type: float'


@pytest.mark.parametrize(
    ("dtype", "good", "bad"),
    [
        (types_pb2.DT_INT64, 2**63 - 1, 2**63),
        (types_pb2.DT_UINT32, 2**32 - 1, -1),
        (types_pb2.DT_UINT64, 2**64 - 1, 2**64),
        (types_pb2.DT_INT32, -(2**31), 2**31),
    ],
)
def test_integers_must_be_in_the_range_of_their_type(dtype, good, bad):
    assert columns(f"[{good}]", infos(x=dtype))["x"].tolist() == [good]
    assert (
        "Type: Number is not of expected"
        in refusal(f'{{"inputs": [{bad}]}}', infos(x=dtype)).message
    )


def test_types_without_a_json_form_are_unimplemented():
    error = refusal('{"inputs": [1]}', infos(x=types_pb2.DT_HALF))

    assert error.code == "UNIMPLEMENTED"
    assert error.message == "Conversion of JSON Value: 1 to type: half"


def test_signature_without_inputs_is_refused():
    assert refusal('{"inputs": []}', {}).message == (
        "Failed to get input map for signature: DEFAULT"
    )
