import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import full_softmax

BATCH, ITEMS, DIM = 6, 11, 4


@pytest.fixture
def batch() -> tuple[tf.Tensor, tf.Tensor, np.ndarray]:
    random = np.random.default_rng(0)
    queries, items = (random.normal(size=(rows, DIM)) for rows in (BATCH, ITEMS))
    return (
        tf.constant(queries, tf.float32),
        tf.constant(items, tf.float32),
        np.array([3, 10, 0, 3, 7, 1]),
    )


@pytest.mark.parametrize("chunk", [None, 1, 4, 11, 100])
def test_losses_and_gradients_equal_tensorflows_own(
    batch: tuple[tf.Tensor, tf.Tensor, np.ndarray], chunk: int | None
) -> None:
    queries, items, positives = batch
    weights = tf.linspace(0.0, 2.0, BATCH)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([queries, items])
        losses = full_softmax(queries, items, positives, 0.5, chunk)
        logits = tf.matmul(queries, items, transpose_b=True) / 0.5
        plain = tf.nn.sparse_softmax_cross_entropy_with_logits(positives, logits)
        weighted, expected = (tf.reduce_sum(each * weights) for each in (losses, plain))

    np.testing.assert_allclose(losses, plain, rtol=1e-4)
    for of in (queries, items):
        slope = tf.convert_to_tensor(tape.gradient(weighted, of))
        np.testing.assert_allclose(slope, tape.gradient(expected, of), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_catalogue_in_a_variable_learns_in_a_graph_of_unknown_shapes(
    batch: tuple[tf.Tensor, tf.Tensor, np.ndarray], chunk: int | None
) -> None:
    queries, items, positives = batch
    table = tf.Variable(items)

    @tf.function(input_signature=[tf.TensorSpec([None, DIM]), tf.TensorSpec([None], tf.int64)])
    def slope(queries: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(full_softmax(queries, table, positives, chunk=chunk))
        return tf.convert_to_tensor(tape.gradient(loss, table))

    softmax = tf.nn.softmax(tf.matmul(queries, items, transpose_b=True)).numpy()
    softmax[np.arange(BATCH), positives] -= 1
    np.testing.assert_allclose(
        slope(queries, positives), softmax.T @ queries.numpy(), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("chunk", [None, 2])
def test_extreme_scores_have_finite_losses_and_gradients(chunk: int | None) -> None:
    queries = tf.constant([[1e4], [-1e4]])
    items = tf.constant([[1.0], [-1.0], [0.0]])
    with tf.GradientTape() as tape:
        tape.watch(items)
        losses = full_softmax(queries, items, tf.constant([1, 1]), chunk=chunk)
        loss = tf.reduce_sum(losses)

    np.testing.assert_allclose(losses, [2e4, 0])
    np.testing.assert_allclose(tape.gradient(loss, items), [[1e4], [-1e4], [0]])


@pytest.mark.parametrize("chunk", [None, 2])
def test_half_precision_is_summed_in_float32(chunk: int | None) -> None:
    queries = tf.zeros([1, 2], tf.bfloat16)
    items = tf.zeros([1000, 2], tf.bfloat16)

    losses = full_softmax(queries, items, tf.constant([5]), chunk=chunk)

    assert losses.dtype == tf.float32
    np.testing.assert_allclose(losses, [np.log(1000)], rtol=1e-5)
