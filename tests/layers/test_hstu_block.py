import numpy as np
import tensorflow as tf

from tfrec.layers import HSTUBlock

DIM, HEADS, PLACES = 6, 2, 3


def normal(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


def silu(values: np.ndarray) -> np.ndarray:
    return values / (1 + np.exp(-values))


def test_block_equals_a_plain_recomputation() -> None:
    tf.random.set_seed(0)
    block = HSTUBlock(DIM, HEADS, PLACES, 0.0)
    values = tf.random.stateless_normal([1, 5, DIM], [1, 2])
    block(values)
    block._bias.assign(tf.random.stateless_normal([PLACES, HEADS], [3, 4]))

    found = block(values)[0].numpy()

    x, floats = values[0].numpy(), DIM // HEADS
    kernel, bias = block._projection.kernel.numpy(), block._bias.numpy()
    gate, value, query, key = np.split(silu(normal(x) @ kernel), 4, axis=-1)
    seen = np.zeros_like(x)
    for head in range(HEADS):
        own = slice(head * floats, (head + 1) * floats)
        for i in range(5):
            for j in range(i + 1):
                score = query[i, own] @ key[j, own] + bias[min(i - j, PLACES - 1), head]
                seen[i, own] += silu(score) / PLACES * value[j, own]
    expected = x + (normal(seen) * gate) @ block._output.kernel.numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_dropout_is_there_in_training_only() -> None:
    block = HSTUBlock(DIM, HEADS, PLACES, 0.5)
    values = tf.random.stateless_normal([1, 4, DIM], [1, 2])

    np.testing.assert_array_equal(block(values), block(values))
    assert np.abs(block(values, training=True) - block(values)).max() > 1e-3
