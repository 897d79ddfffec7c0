import numpy as np
import pytest
import tensorflow as tf

from tfrec.losses import in_batch_softmax, mixed_negative_softmax

BATCH, DISTINCT, DIM, ITEMS = 12, 9, 4, 50


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(DISTINCT)).astype(np.float32)
    shares[-1] = 0
    return {
        "queries": random.normal(size=(BATCH, DIM)).astype(np.float32),
        "candidates": random.normal(size=(DISTINCT, DIM)).astype(np.float32),
        "positives": random.integers(5, size=BATCH),
        "sampling_probability": shares,
    }


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_losses_equal_a_plain_recomputation(
    batch: dict[str, np.ndarray], temperature: float
) -> None:
    losses = mixed_negative_softmax(**batch, items=ITEMS, uniform_draws=7, temperature=temperature)

    chance = 1 - (1 - batch["sampling_probability"].astype(float)) ** BATCH * (1 - 1 / ITEMS) ** 7
    for query, positive, loss in zip(batch["queries"], batch["positives"], losses, strict=True):
        logits = [query @ item / temperature for item in batch["candidates"]] - np.log(chance)
        assert float(loss) == pytest.approx(
            np.log(np.exp(logits).sum()) - logits[positive], rel=1e-4
        )


def test_without_uniform_draws_it_is_the_in_batch_softmax(batch: dict[str, np.ndarray]) -> None:
    losses = mixed_negative_softmax(**batch, items=ITEMS, uniform_draws=0, draws=30)

    np.testing.assert_allclose(losses, in_batch_softmax(**batch, draws=30))


def test_items_that_are_never_bought_fall_only_with_uniform_draws() -> None:
    """The scores of 6 bought items and 6 that never are, learned from their purchases alone."""
    random = np.random.default_rng(0)

    def learn(uniform_draws: int) -> np.ndarray:
        table = tf.Variable(tf.zeros([12, 1]))
        for _ in range(100):
            bought, drawn = random.integers(6, size=8), random.integers(12, size=uniform_draws)
            rows, places = tf.unique(np.r_[bought, drawn])
            positives = places[:8]
            shares = tf.where(rows < 6, 1 / 6, 0.0)
            with tf.GradientTape() as tape:
                candidates = tf.gather(table, rows)
                losses = mixed_negative_softmax(
                    tf.ones([8, 1]), candidates, positives, shares, 12, uniform_draws
                )
                loss = tf.reduce_mean(losses)
            table.assign_sub(3 * tf.convert_to_tensor(tape.gradient(loss, table)))
        return table.numpy()[:, 0]

    in_batch, mixed = learn(0), learn(4)

    np.testing.assert_array_equal(in_batch[6:], 0)
    assert in_batch[:6].min() < 0.5
    assert mixed[:6].min() > mixed[6:].max() + 2
