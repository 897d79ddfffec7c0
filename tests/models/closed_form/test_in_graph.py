from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form import EASE, IALS, ClosedForm, ItemKNN, OwnHistory, Popularity

ROWS = [[3, 1, 3, -1], [0, -1, -1, -1], [-1, -1, -1, -1], [10, 11, 2, 0]]
"""Histories with a repeat, with gaps, with nothing, and with an item without an event."""

MODELS = [
    Popularity(),
    OwnHistory(),
    ItemKNN(ItemKNN.Settings(neighbours=4)),
    ItemKNN(ItemKNN.Settings(similarity="jaccard", shrinkage=2.0)),
    EASE(EASE.Settings(l2=3.0)),
    EASE(EASE.Settings(l2=3.0, most_items=6)),
    IALS(IALS.Settings(dim=5)),
    IALS(IALS.Settings(dim=5, weighted=True, frequency_exponent=0.5)),
]


def histories(n_items: int) -> sparse.csr_matrix:
    rows = np.array(ROWS)
    users, columns = np.nonzero(rows >= 0)
    ones = np.ones(len(users), np.float32)
    return sparse.csr_matrix((ones, (users, rows[users, columns])), (len(ROWS), n_items))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: f"{model.__class__.__name__}")
def test_graph_scores_histories_as_the_model_does(
    model: ClosedForm, log: Interactions, tmp_path: Path
) -> None:
    model.fit(log)
    module = tf.Module()
    module.scorer = model.in_graph()
    module.score = tf.function(
        module.scorer, input_signature=[tf.TensorSpec([None, None], tf.int64)], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path))

    loaded = tf.saved_model.load(str(tmp_path))
    scores = loaded.score(tf.constant(ROWS, tf.int64)).numpy()

    expected = model.scores(histories(log.n_items))
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(np.isneginf(scores), np.isneginf(expected))
    if isinstance(model, OwnHistory):
        scores, expected = (np.argsort(each, axis=1, kind="stable") for each in (scores, expected))
    np.testing.assert_allclose(scores, expected, rtol=2e-3, atol=2e-4)
