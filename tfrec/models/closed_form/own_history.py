"""What a shopper bought before, once more."""

import numpy as np
from scipy import sparse

from tfrec.data.interactions import Interactions
from tfrec.models.closed_form.fitted import ClosedForm


class OwnHistory(ClosedForm):
    """Ranks the items of a shopper's history by how often they are in it; it recommends no other.

        score(u, i) = number of u's items j with (h_uj, p_j) <= (h_ui, p_i), equal pairs once

    `h` are the values of the history, usually counts of events, and `p` is an item's popularity,
    which decides between equals alone. In a history of `Interactions.decayed` what was bought
    lately counts more.

    Source: the personalised item frequency of Hu, He, Gao and Zhang, Modeling Personalized Item
    Frequency Information for Next-basket Recommendation, SIGIR 2020.
    """

    state = ("popularity",)
    popularity: np.ndarray

    def fit(self, interactions: Interactions) -> None:
        """Adds up the items' weights: `popularity` is `[items]` float32."""
        sums = np.bincount(interactions.items, interactions.weights, interactions.n_items)
        self.popularity = sums.astype(np.float32)

    def scores(self, histories: sparse.csr_matrix) -> np.ndarray:
        """Scores all items for some shoppers: `[users, items]` float32, -inf for the unseen."""
        users = np.repeat(np.arange(histories.shape[0]), np.diff(histories.indptr))
        popularity = self.popularity[histories.indices]
        order = np.lexsort((popularity, histories.data, users))
        rises = _differs(histories.data[order]) | _differs(popularity[order])
        places = np.cumsum(rises)  # over all shoppers
        own = places - places[histories.indptr[users]] + 1  # the users are in order already
        scores = np.full(histories.shape, -np.inf, np.float32)
        scores[users, histories.indices[order]] = own
        return scores


def _differs(values: np.ndarray) -> np.ndarray:
    """Whether each value is another than the one before it."""
    return np.r_[True, values[1:] != values[:-1]][: len(values)]
