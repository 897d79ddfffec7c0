import numpy as np
import pytest
from rounded_by_hand import by_hand, weights

from tfrec.embeddings.quantised import dequantise, quantise
from tfrec.errors import UserError


def test_bytes_are_steps_of_a_127th_of_the_longest_value_of_a_row():
    rows = weights(20, 8)

    values, scales = quantise(rows, "int8", axis=0)

    assert values.dtype == np.int8
    assert scales.dtype == np.float32
    for row, steps, scale in zip(rows, values, scales, strict=True):
        expected, expected_scale = by_hand(row)
        assert steps.tolist() == expected
        assert scale == pytest.approx(expected_scale)


def test_each_output_of_a_kernel_has_a_scale_of_its_own():
    kernel = weights(6, 4).T  # outputs are the last axis

    values, scales = quantise(kernel, "int8", axis=-1)

    for output in range(6):
        expected, scale = by_hand(kernel[:, output])
        assert values[:, output].tolist() == expected
        assert scales[output] == pytest.approx(scale)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_dequantised_values_are_off_by_no_more_than_is_promised(precision):
    rows = weights(50, 16)
    rows = np.where(np.abs(rows) < 1e-3, 0, rows)  # half precision ends at 6e-5

    values, scales = quantise(rows, precision, axis=0)

    near = dequantise(values, None if scales is None else scales[:, np.newaxis]).numpy()
    longest = np.abs(rows).max(1, keepdims=True)
    allowed = np.abs(rows) / 2048 if precision == "float16" else longest / 127 / 2
    assert near.dtype == np.float32
    assert (np.abs(near - rows) <= allowed * (1 + 1e-5) + 1e-12).all()
    assert (near[1] == 0).all()


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(precision, value):
    with pytest.raises(UserError, match=r"serving\.precision: a trained weight is not finite"):
        quantise(np.array([[1, value]], np.float32), precision, axis=0)


def test_weights_beyond_half_precision_are_refused():
    with pytest.raises(UserError, match="beyond what float16 can hold; take float32"):
        quantise(np.array([[1, 70_000]], np.float32), "float16", axis=0)
