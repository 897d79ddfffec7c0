import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import in_batch_softmax

BATCH, DISTINCT, DIM = 12, 7, 4


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "queries": random.normal(size=(BATCH, DIM)).astype(np.float32),
        "candidates": random.normal(size=(DISTINCT, DIM)).astype(np.float32),
        "positives": random.integers(DISTINCT, size=BATCH),
        "sampling_probability": random.dirichlet(np.ones(DISTINCT) / 2).astype(np.float32),
    }


def plain_losses(
    queries: np.ndarray,
    candidates: np.ndarray,
    positives: np.ndarray,
    sampling_probability: np.ndarray,
    temperature: float = 1.0,
    draws: int = BATCH,
) -> list[float]:
    """-log of the softmax over the batch's items, each logit less the log of its item's chance."""
    losses = []
    chance = 1 - (1 - sampling_probability.astype(float)) ** draws
    for query, positive in zip(queries.astype(float), positives, strict=True):
        logits = [query @ item / temperature for item in candidates] - np.log(chance)
        losses.append(np.log(np.exp(logits).sum()) - logits[positive])
    return losses


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_losses_equal_a_plain_recomputation(
    batch: dict[str, np.ndarray], temperature: float
) -> None:
    losses = in_batch_softmax(**batch, temperature=temperature)

    assert losses.shape == (BATCH,)
    np.testing.assert_allclose(losses, plain_losses(**batch, temperature=temperature), rtol=1e-4)


def test_items_of_a_larger_batch_count_as_that_many_draws(batch: dict[str, np.ndarray]) -> None:
    losses = in_batch_softmax(**batch, draws=40)

    np.testing.assert_allclose(losses, plain_losses(**batch, draws=40), rtol=1e-4)
    assert np.abs(losses - in_batch_softmax(**batch)).max() > 0.01


def test_gradients_equal_those_of_tensorflows_own_formula(batch: dict[str, np.ndarray]) -> None:
    queries, candidates = tf.constant(batch["queries"]), tf.constant(batch["candidates"])
    share, positives = batch["sampling_probability"], batch["positives"]
    weights = tf.linspace(0.0, 2.0, BATCH)
    chance = 1 - (1 - share.astype(float)) ** BATCH
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([queries, candidates])
        losses = in_batch_softmax(queries, candidates, positives, share, temperature=0.5)
        logits = tf.matmul(queries, candidates, transpose_b=True) / 0.5 - np.log(chance)
        plain = tf.nn.sparse_softmax_cross_entropy_with_logits(positives, logits)
        weighted, expected = (tf.reduce_sum(each * weights) for each in (losses, plain))

    for of in (queries, candidates):
        np.testing.assert_allclose(
            tape.gradient(weighted, of), tape.gradient(expected, of), rtol=1e-3, atol=1e-5
        )


@pytest.mark.parametrize("probability", [1e-4, 0.1, 0.5])
def test_uniform_probability_changes_nothing(
    batch: dict[str, np.ndarray], probability: float
) -> None:
    batch["sampling_probability"] = np.full(DISTINCT, probability, np.float32)

    corrected = in_batch_softmax(**batch)

    logits = batch["queries"] @ batch["candidates"].T
    plain = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["positives"], logits)
    np.testing.assert_allclose(corrected, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_item_that_never_or_always_occurs_keeps_losses_and_gradients_finite(
    batch: dict[str, np.ndarray], probability: float
) -> None:
    batch["sampling_probability"][0] = probability
    queries = tf.constant(batch.pop("queries"))
    with tf.GradientTape() as tape:
        tape.watch(queries)
        losses = in_batch_softmax(queries, **batch)

    assert np.isfinite(losses).all()
    assert np.isfinite(tape.gradient(losses, queries)).all()


def test_single_candidate_is_certain(batch: dict[str, np.ndarray]) -> None:
    batch["candidates"] = batch["candidates"][:1]
    batch["sampling_probability"] = batch["sampling_probability"][:1]
    batch["positives"] = np.zeros(BATCH, np.int64)

    np.testing.assert_allclose(in_batch_softmax(**batch), np.zeros(BATCH), atol=1e-6)


def test_correction_keeps_popular_items_from_being_pushed_down() -> None:
    """At scores of log p, the softmax over the catalogue is p: its gradient there is zero."""
    items, batches = 20, 150
    random = np.random.default_rng(0)
    popularity = (1 / np.arange(1, items + 1)) / (1 / np.arange(1, items + 1)).sum()
    scores = tf.Variable(np.log(popularity)[:, np.newaxis], dtype=tf.float32)

    def mean_gradient(sampling_probability: np.ndarray) -> np.ndarray:
        total = np.zeros(items)
        for _ in range(batches):
            bought = random.choice(items, size=BATCH, p=popularity)
            rows, positives = np.unique(bought, return_inverse=True)
            share = tf.constant(sampling_probability[rows], tf.float32)
            with tf.GradientTape() as tape:
                candidates = tf.gather(scores, rows)
                losses = in_batch_softmax(tf.ones([BATCH, 1]), candidates, positives, share)
                loss = tf.reduce_mean(losses)
            total += tf.convert_to_tensor(tape.gradient(loss, scores)).numpy()[:, 0]
        return total / batches

    corrected = mean_gradient(popularity)
    uncorrected = mean_gradient(np.full(items, 1 / items))

    assert uncorrected[0] > 0.05
    assert abs(corrected[0]) < 0.2 * uncorrected[0]
    assert np.linalg.norm(corrected) < 0.3 * np.linalg.norm(uncorrected)
