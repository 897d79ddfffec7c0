"""A catalogue with clusters, queries near its items, and an index of each kind that has parts."""

import numpy as np
import pytest

from tfrec.retrieval.chunked_flat import ChunkedFlat
from tfrec.retrieval.partitioned import Partitioned
from tfrec.retrieval.partitioned_flat import PartitionedFlat
from tfrec.retrieval.scann_index import SMALLEST_PARTITIONED, Scann

DIM, QUERIES = 16, 100


@pytest.fixture(scope="session")
def clusters() -> np.ndarray:
    """Vectors of length 1 around 200 centres, as a trained catalogue's are."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(200, DIM))
    vectors = centres[random.integers(200, size=SMALLEST_PARTITIONED)]
    vectors += random.normal(scale=0.3, size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def near_items(clusters: np.ndarray) -> np.ndarray:
    """Queries near items drawn by chance."""
    random = np.random.default_rng(1)
    chosen = clusters[random.integers(len(clusters), size=QUERIES)]
    return (chosen + random.normal(scale=0.1, size=chosen.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def partitioned(clusters: np.ndarray) -> Partitioned:
    """Of `clusters`; a test says first how much is searched."""
    return Partitioned(clusters)


@pytest.fixture(scope="session")
def chunked_flat(clusters: np.ndarray) -> ChunkedFlat:
    """Of `clusters`; a test says first how much is searched."""
    return ChunkedFlat(clusters)


@pytest.fixture(scope="session")
def partitioned_flat(clusters: np.ndarray) -> PartitionedFlat:
    """Of `clusters`; a test says first how much is searched."""
    return PartitionedFlat(clusters)


@pytest.fixture(scope="session")
def scann(clusters: np.ndarray) -> Scann:
    """Of `clusters`; a test says first how much is searched."""
    return Scann(clusters)
