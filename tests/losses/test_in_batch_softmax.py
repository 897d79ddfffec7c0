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
) -> list[float]:
    """-log of the softmax over the batch's items, each logit less the log of its item's chance."""
    losses = []
    chance = 1 - (1 - sampling_probability.astype(float)) ** len(queries)
    for query, positive in zip(queries.astype(float), positives, strict=True):
        logits = [query @ item / temperature for item in candidates] - np.log(chance)
        losses.append(np.log(np.exp(logits).sum()) - logits[positive])
    return losses


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_loss_equals_a_plain_recomputation(
    batch: dict[str, np.ndarray], temperature: float
) -> None:
    loss = in_batch_softmax(**batch, temperature=temperature)

    assert loss.shape == ()
    expected = np.mean(plain_losses(**batch, temperature=temperature))
    assert loss.numpy() == pytest.approx(expected, rel=1e-4)


def test_weighted_loss_is_the_weighted_mean(batch: dict[str, np.ndarray]) -> None:
    weights = np.linspace(0, 3, BATCH).astype(np.float32)

    loss = in_batch_softmax(**batch, weights=weights)

    assert loss.numpy() == pytest.approx(
        np.average(plain_losses(**batch), weights=weights), rel=1e-4
    )


def test_equal_weights_change_nothing(batch: dict[str, np.ndarray]) -> None:
    plain = in_batch_softmax(**batch).numpy()

    weighted = in_batch_softmax(**batch, weights=np.full(BATCH, 5, np.float32)).numpy()

    assert weighted == pytest.approx(plain, rel=1e-5)


def test_weights_of_nothing_give_no_loss(batch: dict[str, np.ndarray]) -> None:
    assert in_batch_softmax(**batch, weights=np.zeros(BATCH, np.float32)).numpy() == 0


@pytest.mark.parametrize("probability", [1e-4, 0.1, 0.5])
def test_uniform_probability_changes_nothing(
    batch: dict[str, np.ndarray], probability: float
) -> None:
    batch["sampling_probability"] = np.full(DISTINCT, probability, np.float32)

    corrected = in_batch_softmax(**batch).numpy()

    logits = batch["queries"] @ batch["candidates"].T
    plain = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["positives"], logits)
    assert corrected == pytest.approx(plain.numpy().mean(), rel=1e-4)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_item_that_never_or_always_occurs_keeps_loss_and_gradient_finite(
    batch: dict[str, np.ndarray], probability: float
) -> None:
    batch["sampling_probability"][0] = probability
    queries = tf.constant(batch.pop("queries"))
    with tf.GradientTape() as tape:
        tape.watch(queries)
        loss = in_batch_softmax(queries, **batch)

    assert np.isfinite(loss.numpy())
    assert np.isfinite(tape.gradient(loss, queries).numpy()).all()


def test_single_candidate_is_certain(batch: dict[str, np.ndarray]) -> None:
    batch["candidates"] = batch["candidates"][:1]
    batch["sampling_probability"] = batch["sampling_probability"][:1]
    batch["positives"] = np.zeros(BATCH, np.int64)

    assert in_batch_softmax(**batch).numpy() == pytest.approx(0, abs=1e-6)


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
                loss = in_batch_softmax(tf.ones([BATCH, 1]), candidates, positives, share)
            total += tf.convert_to_tensor(tape.gradient(loss, scores)).numpy()[:, 0]
        return total / batches

    corrected = mean_gradient(popularity)
    uncorrected = mean_gradient(np.full(items, 1 / items))

    assert uncorrected[0] > 0.05
    assert abs(corrected[0]) < 0.2 * uncorrected[0]
    assert np.linalg.norm(corrected) < 0.3 * np.linalg.norm(uncorrected)
