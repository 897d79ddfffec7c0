import numpy as np
import pytest
from tensorflow_serving.apis import classification_pb2, regression_pb2

from tfrec.serving.json_format import (
    format_classifications,
    format_error,
    format_outputs,
    format_predictions,
    format_regressions,
    format_value,
)
from tfrec.serving.status import ServingError


def strings(*values: bytes) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_rows_of_one_output_are_bare_and_on_one_line():
    text = format_predictions({"y": np.array([2.5, 3.0, 4.5], np.float32)})

    assert text == b'{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'


def test_nested_rows_stay_on_one_line():
    text = format_predictions({"y": np.arange(8).reshape(2, 2, 2)})

    assert text == b'{\n    "predictions": [[[0, 1], [2, 3]], [[4, 5], [6, 7]]\n    ]\n}'


def test_rows_of_several_outputs_are_objects():
    text = format_predictions({"a": np.array([1, 2]), "b": np.array([[True], [False]])})

    assert text.decode() == (
        '{\n    "predictions": [\n'
        '        {\n            "a": 1,\n            "b": [true]\n        },\n'
        '        {\n            "a": 2,\n            "b": [false]\n        }\n'
        "    ]\n}"
    )


def test_no_rows_are_an_empty_list():
    one = format_predictions({"y": np.zeros((0, 2), np.float32)})
    two = format_predictions({"y": np.zeros((0, 2)), "z": np.zeros(0)})

    assert one == two == b'{\n    "predictions": []\n}'


def test_column_has_every_value_on_a_line():
    text = format_outputs({"y": np.array([[1, 2], [3, 4]])})

    assert text.decode() == (
        '{\n    "outputs": [\n'
        "        [\n            1,\n            2\n        ],\n"
        "        [\n            3,\n            4\n        ]\n"
        "    ]\n}"
    )


def test_columns_of_several_outputs_are_an_object():
    text = format_outputs({"a": np.array(1.5), "b": np.zeros((2, 0), np.int32)})

    assert text.decode() == (
        '{\n    "outputs": {\n        "a": 1.5,\n'
        '        "b": [\n            [],\n            []\n        ]\n    }\n}'
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (9000000, "9e+06"),
        (999999, "999999.0"),
        (0.0003, "0.0003"),
        (0.00003, "3e-05"),
        (555557.5, "555557.5"),
        (0.1, "0.1"),
        (1 / 3, "0.333333343"),
        (16777216, "16777216.0"),
        (-0.0, "-0.0"),
        (np.nan, "NaN"),
        (np.inf, "Infinity"),
        (-np.inf, "-Infinity"),
        (3.4028235e38, "3.40282347e+38"),
    ],
)
def test_floats_have_the_digits_they_need(number, text):
    assert format_outputs({"y": np.float32(number)[()].reshape(())}) == (
        f'{{\n    "outputs": {text}\n}}'.encode()
    )


def test_doubles_have_up_to_seventeen_digits():
    text = format_predictions({"y": np.array([0.1, 1 / 3, 1e300, 123456789.0])})

    assert b"[0.1, 0.33333333333333331, 1e+300, 123456789.0\n" in text


def test_integers_are_exact():
    text = format_predictions({"y": np.array([2**64 - 1], np.uint64)})

    assert b"[18446744073709551615\n" in text


def test_strings_are_escaped_and_keep_their_bytes():
    text = format_predictions({"y": strings(b'"\\/\n\x0b', "é".encode(), b"\xff\x00")})

    assert text == (
        b'{\n    "predictions": ["\\"\\\\/\\n\\u000B", "\xc3\xa9", "\xff\\u0000"\n    ]\n}'
    )


def test_outputs_named_bytes_are_base64():
    text = format_predictions({"y_bytes": strings(b"hello", b"")})

    assert text.decode() == (
        '{\n    "predictions": [{\n            "b64": "aGVsbG8="\n        }, '
        '{\n            "b64": ""\n        }\n    ]\n}'
    )


def test_output_without_batch_dimension_has_no_row_form():
    with pytest.raises(ServingError) as caught:
        format_predictions({"y": np.float32(1)[()].reshape(())})

    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.message == "Tensor name: y has no shape information "


def test_outputs_of_different_batch_sizes_have_no_row_form():
    with pytest.raises(ServingError) as caught:
        format_predictions({"a": np.zeros(2), "b": np.zeros(3)})

    assert caught.value.message == "Tensor name: b has inconsistent batch size: 3 expecting: 2"


@pytest.mark.parametrize(
    ("dtype", "name"), [(np.float16, "half"), (np.uint16, "uint16"), (np.complex64, "complex64")]
)
def test_types_without_a_json_form_are_refused(dtype, name):
    with pytest.raises(ServingError) as caught:
        format_outputs({"y": np.zeros(1, dtype)})

    assert caught.value.message == f"Failed to write JSON value for tensor type: {name}"


def test_error_is_one_pretty_object():
    assert format_error('no "x"\n') == b'{\n    "error": "no \\"x\\"\\n"\n}'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        (0.2, "0.2"),
        (1e300, "1e+300"),
        (10**30, "1e+30"),
        (7, "7"),
        (None, "null"),
        (True, "true"),
        ({"a": [1]}, '{\n    "a": [\n        1\n    ]\n}'),
    ],
)
def test_value_is_quoted_as_in_messages(value, text):
    assert format_value(value) == text


def test_classifications_are_pairs_on_one_line():
    result = classification_pb2.ClassificationResult()
    for row in ([("a", 0.1), ('"', 3)], [], [("", 1 / 3)]):
        entries = result.classifications.add().classes
        entries.extend(classification_pb2.Class(label=name, score=score) for name, score in row)

    assert format_classifications(result).decode() == (
        '{\n    "results": [[["a", 0.1], ["\\"", 3.0]], [], [["", 0.333333343]]\n    ]\n}'
    )


def test_regressions_are_values_on_one_line():
    values = [regression_pb2.Regression(value=value) for value in (3, 0.1, float("nan"))]

    text = format_regressions(regression_pb2.RegressionResult(regressions=values))

    assert text.decode() == '{\n    "results": [3.0, 0.1, NaN]\n}'


def test_value_nested_too_deeply_is_not_quoted():
    value: list = []
    for _ in range(5000):
        value = [value]

    assert format_value(value) == "(too deeply nested to be shown)"
