import numpy as np
import pytest

from tfrec.retrieval.clustering import nearest, second_nearest, train_centroids

DIM = 5


@pytest.fixture
def vectors() -> np.ndarray:
    """More than are looked at together."""
    return np.random.default_rng(0).normal(size=(9000, DIM)).astype(np.float32)


@pytest.fixture
def centroids() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(12, DIM)).astype(np.float32)


def plain_distances(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    ways = vectors[:, np.newaxis].astype(np.float64) - centroids
    return np.square(ways).sum(-1)


def test_nearest_centre_is_that_of_the_least_distance(
    vectors: np.ndarray, centroids: np.ndarray
) -> None:
    expected = plain_distances(vectors, centroids).argmin(1)

    assert nearest(vectors, centroids).tolist() == expected.tolist()


def test_second_centre_has_the_least_loss_of_the_others(
    vectors: np.ndarray, centroids: np.ndarray
) -> None:
    first = nearest(vectors, centroids)

    found = second_nearest(vectors, centroids, first, orthogonality=1.5)

    ways = vectors[:, np.newaxis].astype(np.float64) - centroids  # [items, centres, dim]
    own = ways[np.arange(len(vectors)), first]
    along = np.einsum("icd,id->ic", ways, own) / np.linalg.norm(own, axis=1)[:, np.newaxis]
    losses = np.square(ways).sum(-1) + 1.5 * np.square(along)
    losses[np.arange(len(vectors)), first] = np.inf
    assert found.tolist() == losses.argmin(1).tolist()


def test_without_a_weight_the_second_centre_is_the_second_nearest(
    vectors: np.ndarray, centroids: np.ndarray
) -> None:
    second = np.argsort(plain_distances(vectors, centroids), axis=1)[:, 1]

    found = second_nearest(vectors, centroids, nearest(vectors, centroids), orthogonality=0)

    assert found.tolist() == second.tolist()
    weighed = second_nearest(vectors, centroids, nearest(vectors, centroids))
    assert (found != weighed).any()


def test_vector_on_its_centre_gets_the_second_nearest(centroids: np.ndarray) -> None:
    distances = plain_distances(centroids, centroids)

    found = second_nearest(centroids, centroids, np.arange(len(centroids)))

    assert found.tolist() == np.argsort(distances, axis=1)[:, 1].tolist()


def test_centres_of_groups_far_apart_are_their_means() -> None:
    random = np.random.default_rng(2)
    groups = [random.normal(centre, 0.1, size=(50, DIM)) for centre in (-10, 10)]
    vectors = random.permutation(np.concatenate(groups)).astype(np.float32)

    found = train_centroids(vectors, 2)

    expected = [group.mean(0) for group in groups]
    np.testing.assert_allclose(found[np.argsort(found[:, 0])], expected, atol=1e-4)


def test_trained_centres_are_nearer_than_drawn_ones(vectors: np.ndarray) -> None:
    drawn = np.random.default_rng(3).choice(vectors, 40, replace=False)

    trained = train_centroids(vectors, 40)

    errors = [plain_distances(vectors, centres).min(1).mean() for centres in (trained, drawn)]
    assert trained.shape == (40, DIM)
    assert trained.dtype == np.float32
    assert errors[0] < 0.85 * errors[1]


def test_every_centre_is_somewhere_even_where_vectors_are_equal() -> None:
    vectors = np.full([30, DIM], 3, np.float32)

    np.testing.assert_allclose(train_centroids(vectors, 4), np.full([4, DIM], 3))


def test_seed_decides_the_centres(vectors: np.ndarray) -> None:
    trained = [train_centroids(vectors, 10, seed) for seed in (0, 0, 1)]

    np.testing.assert_array_equal(trained[0], trained[1])
    assert (trained[0] != trained[2]).any()
