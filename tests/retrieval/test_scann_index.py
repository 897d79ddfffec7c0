import numpy as np
import tensorflow as tf

from tfrec.retrieval.scann_index import Scann

K = 20


def recall_of_quantised(
    clusters: np.ndarray, queries: np.ndarray, index: Scann, rescored: float
) -> float:
    index.probe([(K, index.partitions)], rescored)
    found = index.search(tf.constant(queries), K)[0].numpy()
    wanted = np.argsort(-queries @ clusters.T, axis=1)[:, :K]
    return float((found[:, :, np.newaxis] == wanted[:, np.newaxis]).any(2).mean())


def test_small_catalogue_is_scored_whole() -> None:
    assert Scann(np.eye(16, dtype=np.float32)).partitions == 1


def test_more_items_scored_exactly_make_up_for_quantised_scores(
    scann: Scann, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    recalls = [recall_of_quantised(clusters, near_items, scann, rescored) for rescored in (1, 8)]

    assert recalls[0] < recalls[1]
    assert recalls[1] > 0.97


def test_threshold_decides_how_vectors_are_quantised(
    scann: Scann, clusters: np.ndarray, near_items: np.ndarray
) -> None:
    isotropic = Scann(clusters, threshold=float("nan"))

    recalls = [recall_of_quantised(clusters, near_items, index, 2) for index in (scann, isotropic)]

    assert recalls[0] != recalls[1]
    assert min(recalls) > 0.5
