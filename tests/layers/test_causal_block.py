import numpy as np
import tensorflow as tf

from tfrec.layers import CausalBlock

DIM, HEADS = 6, 2


def normal(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)


def test_block_equals_a_plain_recomputation() -> None:
    tf.random.set_seed(0)
    block, values = CausalBlock(DIM, HEADS, 0.0), tf.random.stateless_normal([1, 4, DIM], [1, 2])

    found = block(values)[0].numpy()

    query, _, key, _, value, _, out, _ = block._attention.get_weights()
    x = values[0].numpy()
    query, key, value = (np.einsum("ld,dhf->lhf", normal(x), w) for w in (query, key, value))
    y = x.copy()
    for place in range(4):
        for head in range(HEADS):
            scores = [query[place, head] @ key[j, head] for j in range(place + 1)]
            powers = np.exp(np.array(scores) / np.sqrt(DIM / HEADS))
            seen = (powers / powers.sum()) @ value[: place + 1, head]
            y[place] += seen @ out[head]
    hidden = np.maximum(normal(y) @ block._hidden.kernel, 0)
    np.testing.assert_allclose(found, y + hidden @ block._output.kernel, atol=1e-5)


def test_dropout_is_there_in_training_only() -> None:
    block, values = CausalBlock(DIM, HEADS, 0.5), tf.random.stateless_normal([1, 4, DIM], [1, 2])

    np.testing.assert_array_equal(block(values), block(values))
    assert np.abs(block(values, training=True) - block(values)).max() > 1e-3


def test_the_same_values_lose_the_same_attention_in_a_block_of_another_age() -> None:
    tf.random.set_seed(0)
    values, block, younger = tf.random.normal([2, 5, DIM]), *_blocks_with_the_same_weights()
    tf.random.normal([7])  # whatever else the process has drawn

    first, again = block(values, training=True), younger(values, training=True)

    np.testing.assert_array_equal(first, again)


def _blocks_with_the_same_weights() -> tuple[CausalBlock, CausalBlock]:
    block, other = CausalBlock(DIM, HEADS, 0.5), CausalBlock(DIM, HEADS, 0.5)
    for layer in (block, other):
        layer(tf.zeros([1, 1, DIM]))
    other.set_weights(block.get_weights())
    return block, other
