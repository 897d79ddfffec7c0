import numpy as np
import pytest
import tensorflow as tf

from tfrec.embeddings.hashing import _MULTIPLIERS, multiply_shift

FUNCTIONS = range(len(_MULTIPLIERS))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_hash_is_the_upper_half_of_a_product_as_plain_python_says(function: int) -> None:
    ids = [0, 1, 2**63 - 1, -1, 123_456_789_012_345_678]

    hashed = multiply_shift(tf.constant(ids, tf.int64), function, 1009)

    products = [id_ * _MULTIPLIERS[function] % 2**64 for id_ in ids]
    signed = [product - 2**64 if product >= 2**63 else product for product in products]
    assert hashed.numpy().tolist() == [(number >> 32) % 1009 for number in signed]


@pytest.mark.parametrize(
    "ids", [np.arange(16_000), np.random.default_rng(0).integers(2**62, size=16_000)]
)
def test_hashes_of_any_two_functions_spread_pairs_evenly(ids: np.ndarray) -> None:
    hashes = [multiply_shift(tf.constant(ids), function, 8).numpy() for function in FUNCTIONS]

    for one in FUNCTIONS:
        for other in range(one):
            pairs = np.bincount(hashes[one] * 8 + hashes[other], minlength=64)
            assert pairs.min() > 125, (one, other)  # 250 expected
            assert pairs.max() < 500, (one, other)
